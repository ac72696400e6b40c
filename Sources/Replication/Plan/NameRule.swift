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
    public func fitting(_ name: String, as template: NameTemplate = .path) -> String {
        if isTaken(name) { return name }
        let digits = String(FieldDigest(name).rawValue, radix: 16)
        let digest = (String(repeating: "0", count: 16 - digits.count) + digits).prefix(8)
        let text = plain(template.isOfLastPart ? Self.lastPart(of: name) : name)
        let room = max(0, length - template.length - digest.count)
        var fitted = String(text.prefix(room))
        while fitted.last == "-" { fitted.removeLast() }
        return template.filled(name: fitted.isEmpty ? "n" : fitted, digest: String(digest))
    }

    private func plain(_ name: String) -> String {
        var text = ""
        for character in name.unicodeScalars {
            if Self.isPlain(character) || punctuation.unicodeScalars.contains(character) {
                text.unicodeScalars.append(character)
            } else if !text.isEmpty, text.last != "-" {
                text += "-"
            }
        }
        return String(text[(text.unicodeScalars.firstIndex(where: Self.isPlain) ?? text.endIndex)...])
    }

    private static func lastPart(of name: String) -> String { name.split(separator: "/").last.map(String.init) ?? name }

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
