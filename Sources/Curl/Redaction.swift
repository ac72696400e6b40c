/// Hides credentials in what people read: logs, errors, reports.
///
/// Rather hides too much: a page token is hidden too.
public enum Redaction {
    static let mask = "***"

    /// The URL without user and password, and without the values of query names like sig, token, key, secret, password, X-Amz-*.
    public static func url(_ url: String) -> String {
        let bytes = Array(url.utf8)
        var output = Output()
        var rest = bytes[...]
        if let scheme = bytes.firstRange(of: "://"), bytes[..<scheme.lowerBound].allSatisfy({ !isDelimiter($0) }) {
            output.append(bytes[..<scheme.upperBound])
            rest = bytes[scheme.upperBound...]
        }
        let authority = rest.prefix { $0 != 0x2F && $0 != 0x3F && $0 != 0x23 }
        if let at = authority.lastIndex(of: 0x40) {
            output.append(mask + "@")
            rest = rest[(at + 1)...]
        }
        let path = rest.prefix { $0 != 0x3F && $0 != 0x23 }
        output.append(path)
        appendPairs(rest[path.endIndex...], to: &output)
        return output.text
    }

    /// The text with every URL in it redacted, and with the values after sensitive names, `Bearer` and `Basic` hidden.
    public static func text(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var output = Output()
        var position = 0
        while position < bytes.count {
            let word = bytes[position...].prefix(while: isWord)
            if word.isEmpty {
                output.append(bytes[position...position])
                position += 1
            } else if bytes[word.endIndex...].starts(with: "://".utf8) {
                let end = bytes[position...].firstIndex(where: isDelimiter) ?? bytes.count
                output.append(url(String(decoding: bytes[position..<end], as: UTF8.self)))
                position = end
            } else {
                position = appendWord(word, of: bytes, to: &output)
            }
        }
        return output.text
    }

    /// Whether a header, query or field of that name holds a credential.
    static func isSensitive(_ name: String) -> Bool { isSensitive(Array(name.utf8)[...]) }

    private static func isSensitive(_ name: ArraySlice<UInt8>) -> Bool {
        let name = decoded(name).map(\.asciiLowercased)
        // "UNAUTHENTICATED: ..." is an error's code, and what follows it the reason.
        let isCredential = !name.starts(with: "unauth".utf8) && holdsAuth(name[...])
        return isCredential || fragments.contains { name.firstRange(of: $0) != nil }
    }

    /// An author is nobody's credential; an authorization is, and whatever else speaks of "auth".
    private static func holdsAuth(_ name: ArraySlice<UInt8>) -> Bool {
        guard let auth = name.firstRange(of: "auth") else { return false }
        let rest = name[auth.upperBound...]
        return !rest.starts(with: "or".utf8) || rest.starts(with: "oriz".utf8) || rest.starts(with: "oris".utf8) || holdsAuth(rest)
    }

    private static let fragments = [
        "sig", "token", "key", "secret", "passw", "pwd", "credential", "x-amz-", "x-goog-", "assertion", "jwt", "cookie",
        "session", "sas", "code",
    ]

    /// `?name=value&name=value#name=value` with the separators as they are.
    private static func appendPairs(_ bytes: ArraySlice<UInt8>, to output: inout Output) {
        var rest = bytes
        while let separator = rest.first {
            output.append([separator])
            rest = rest.dropFirst()
            let pair = rest.prefix { $0 != 0x26 && $0 != 0x3B && $0 != 0x23 && $0 != 0x3F }
            rest = rest[pair.endIndex...]
            if let equals = pair.firstIndex(of: 0x3D), isSensitive(pair[..<equals]) {
                output.append(pair[...equals])
                output.append(mask)
            } else {
                output.append(pair)
            }
        }
    }

    /// Appends a word, and the mask for the value that follows a sensitive name. Returns the position after what was taken.
    private static func appendWord(_ word: ArraySlice<UInt8>, of bytes: [UInt8], to output: inout Output) -> Int {
        let isScheme = ["bearer", "basic"].contains(String(decoding: word, as: UTF8.self).asciiLowercased)
        if looksSecret(word) {
            output.append(mask)
            return word.endIndex
        }
        output.append(word)
        var position = word.endIndex
        let gap = bytes[position...].prefix { $0 == 0x22 || $0 == 0x27 || $0 == 0x20 || $0 == 0x5C }
        position = gap.endIndex
        if isScheme {
            let value = bytes[position...].prefix { !isDelimiter($0) }
            // "basic authentication" is prose.
            guard !gap.isEmpty, !value.isEmpty, value.count >= 16 || !value.allSatisfy(\.isLowercase) else { return word.endIndex }
            output.append(gap)
            output.append(mask)
            return value.endIndex
        }
        guard position < bytes.count, bytes[position] == 0x3A || bytes[position] == 0x3D, isSensitive(word) else { return word.endIndex }
        let opening = bytes[(position + 1)...].prefix { $0 == 0x22 || $0 == 0x27 || $0 == 0x20 || $0 == 0x5C }
        output.append(bytes[word.endIndex..<opening.endIndex])
        // A quoted value ends with its quote, another at the end of the line: passwords have spaces.
        let quote = opening.last { $0 == 0x22 || $0 == 0x27 }
        let value = bytes[opening.endIndex...].prefix {
            $0 != 0x0A && $0 != 0x0D && (quote == nil ? $0 != 0x26 && $0 != 0x2C : $0 != quote)
        }
        if !value.isEmpty { output.append(mask) }
        return value.endIndex
    }

    /// Databricks tokens and JSON web tokens are known by their looks.
    private static func looksSecret(_ word: ArraySlice<UInt8>) -> Bool {
        word.count >= 20 && (word.starts(with: "dapi".utf8) || word.starts(with: "eyJ".utf8))
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        byte.isAlphanumeric || byte == 0x5F || byte == 0x2D || byte == 0x2E || byte == 0x25 || byte == 0x2B
    }

    private static func isDelimiter(_ byte: UInt8) -> Bool {
        byte <= 0x20 || [0x22, 0x27, 0x3C, 0x3E, 0x28, 0x29, 0x60, 0x7B, 0x7D, 0x2C].contains(byte)
    }

    /// Resolves percent-encoding.
    private static func decoded(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        var rest = bytes
        while let byte = rest.popFirst() {
            if byte == 0x25, rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) {
                result.append(value)
                rest = rest.dropFirst(2)
            } else {
                result.append(byte)
            }
        }
        return result
    }

    /// Collects text and replaces control characters, which could forge lines in a log.
    private struct Output {
        private var bytes: [UInt8] = []
        var text: String { String(decoding: bytes, as: UTF8.self) }

        mutating func append(_ new: some Sequence<UInt8>) { bytes += new.lazy.map { $0 < 0x20 || $0 == 0x7F ? 0x20 : $0 } }
        mutating func append(_ text: String) { append(text.utf8) }
    }
}

extension Collection<UInt8> {
    func firstRange(of text: String) -> Range<Index>? {
        var start = startIndex
        while start != endIndex {
            if self[start...].starts(with: text.utf8) { return start..<index(start, offsetBy: text.utf8.count) }
            formIndex(after: &start)
        }
        return nil
    }
}
