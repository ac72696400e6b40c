/// Which names a store takes, and what is made of others.
public struct NameRule: Sendable, Hashable {
    /// Beside ASCII letters and digits, of which the first must be one.
    public var punctuation: String
    /// In characters.
    public var length: Int

    public init(punctuation: String, length: Int) {
        self.punctuation = punctuation
        self.length = length
    }

    /// The name itself where it is taken; else what is left of it, and a short digest of the whole, so that two names stay two.
    public func fitting(_ name: String) -> String {
        if isTaken(name) { return name }
        var text = ""
        for character in name.unicodeScalars {
            if Self.isPlain(character) || punctuation.unicodeScalars.contains(character) {
                text.unicodeScalars.append(character)
            } else if !text.isEmpty, text.last != "-" {
                text += "-"
            }
        }
        let start = text.unicodeScalars.firstIndex(where: Self.isPlain) ?? text.endIndex
        text = String(text[start...].prefix(length - 9))
        while text.last == "-" { text.removeLast() }
        let digits = String(FieldDigest(name).rawValue, radix: 16)
        let digest = (String(repeating: "0", count: 16 - digits.count) + digits).prefix(8)
        return text.isEmpty ? "n" + digest : "\(text)-\(digest)"
    }

    private func isTaken(_ name: String) -> Bool {
        guard let first = name.unicodeScalars.first, Self.isPlain(first), name.unicodeScalars.count <= length else { return false }
        return name.unicodeScalars.allSatisfy { Self.isPlain($0) || punctuation.unicodeScalars.contains($0) }
    }

    private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9": true
        default: false
        }
    }
}
