import Hashing

/// Values that may not reach the secondary as they are. They are masked where the primary is read, so that nothing behind that knows them.
public struct Mask: Sendable, Hashable {
    public enum Form: String, Sendable, Hashable, CaseIterable {
        /// It is not there at all; within other text a word stands in its place.
        case drop
        /// Another one that is always the same for the same value, and cannot be undone without the key.
        case pseudonym
    }

    /// For names that match a pattern.
    public struct Rule: Sendable, Hashable {
        public var pattern: String
        public var form: Form
        public init(_ pattern: String, _ form: Form) {
            self.pattern = pattern
            self.form = form
        }
    }

    /// Names of people: the user of a run or version, the tags that name one, and wherever text holds an e-mail address or a path names a
    /// person's folder.
    public var users: Form?
    /// Of several that match, the last one decides.
    public var tags: [Rule]
    public var params: [Rule]
    public var key: PseudonymKey

    public init(users: Form? = nil, tags: [Rule] = [], params: [Rule] = [], key: PseudonymKey = PseudonymKey()) {
        self.users = users
        self.tags = tags
        self.params = params
        self.key = key
    }

    public var isEmpty: Bool { users == nil && tags.isEmpty && params.isEmpty }
    public var needsKey: Bool { users == .pseudonym || (tags + params).contains { $0.form == .pseudonym } }

    /// Tags whose whole value is a person.
    static let userTags: Set<String> = ["mlflow.user", "mlflow.ownerEmail", "mlflow.ownerId"]

    func form(ofTag key: String) -> Form? { LeaveOut.isOurs(key) ? nil : Self.last(tags, key) }
    func form(ofParam key: String) -> Form? { Self.last(params, key) }

    private static func last(_ rules: [Rule], _ name: String) -> Form? {
        rules.last { PatternList([$0.pattern]).matches(name) }?.form
    }

    /// - Returns: nil when it is dropped.
    func value(_ value: String, _ form: Form) -> String? { form == .drop ? nil : key.pseudonym(of: value, "masked") }

    func user(_ name: String) -> String? {
        guard let users, !name.isEmpty else { return name }
        return users == .drop ? nil : key.pseudonym(of: name, "user")
    }

    // MARK: In text

    private static let homes = ["/Users/", "/Repos/", "/home/", "\\Users\\", "%2FUsers%2F"].map { Array($0.utf8) }
    private static let ends = Set("/\\\"'?#,;:)]}<> \t\r\n".utf8)

    /// Text without the names of people.
    func text(_ text: String) -> String {
        guard users != nil, text.utf8.contains(where: { "@/\\%".utf8.contains($0) })
        else { return text }
        return String(decoding: withoutAddresses(withoutFolders(Array(text.utf8))), as: UTF8.self)
    }

    /// Text in which every person, under whatever mask, is the same one.
    static func besidesPeople(_ text: String) -> String { withoutPseudonyms(Mask(users: .drop).text(text)) }

    /// Whether a mask stands for people in it, and none is named.
    static func hidesPeople(_ text: String) -> Bool {
        let bare = withoutPseudonyms(text)
        return bare.contains("user") && Mask(users: .drop).text(bare) == bare
    }

    private static func withoutPseudonyms(_ text: String) -> String {
        let parts = text.split(separator: "user-", omittingEmptySubsequences: false).map(String.init)
        return parts.dropFirst().reduce(into: parts.first ?? "") { result, part in
            let isPseudonym = part.prefix(16).count == 16 && part.prefix(16).allSatisfy { $0.isHexDigit && !$0.isUppercase }
            result += isPseudonym ? "user" + part.dropFirst(16) : "user-" + part
        }
    }

    private func standIn(_ name: ArraySlice<UInt8>) -> [UInt8] {
        let name = String(decoding: name, as: UTF8.self)
        return Array((user(name) ?? "user").utf8)
    }

    /// The folder of a person, wherever it is a part of a path.
    private func withoutFolders(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var at = 0
        while at < bytes.count {
            guard let home = Self.homes.first(where: { bytes[at...].starts(with: $0) }) else {
                result.append(bytes[at])
                at += 1
                continue
            }
            result += home
            at += home.count
            // As escaped text has it.
            while at < bytes.count, home.last == UInt8(ascii: "\\"), bytes[at] == UInt8(ascii: "\\") {
                result.append(bytes[at])
                at += 1
            }
            let name = bytes[at...].prefix { !Self.ends.contains($0) }
            if !name.isEmpty { result += standIn(name) }
            at += name.count
        }
        return result
    }

    /// E-mail addresses: as which Databricks and Azure know people.
    private func withoutAddresses(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var done = 0
        for at in bytes.indices where at >= done {
            guard let sign = Self.signs.first(where: { bytes[at...].starts(with: $0) }) else { continue }
            var local = bytes[done..<at].reversed().prefix { Self.isWord($0) || "._%+".utf8.contains($0) }.count
            // Of an escaped line break the letter is none of the name.
            if local > 1, at - local > done, bytes[at - local - 1] == UInt8(ascii: "\\") { local -= 1 }
            var domain = bytes[(at + sign.count)...].prefix { Self.isWord($0) || $0 == UInt8(ascii: ".") }
            while let last = domain.last, !Self.isLetterOrDigit(last) { domain = domain.dropLast() }
            // git@HOST is no person.
            let isPerson = local > 0 && domain.contains(UInt8(ascii: ".")) && Array(bytes[(at - local)..<at]) != Array("git".utf8)
            guard isPerson else { continue }
            result += bytes[done..<(at - local)]
            // The same person however it is written.
            result += standIn(bytes[(at - local)..<at] + [UInt8(ascii: "@")] + domain)
            done = domain.endIndex
        }
        return result + bytes[done...]
    }
    private static let signs = ["@", "%40"].map { Array($0.utf8) }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        // Letters outside ASCII.
        default: byte >= 0x80
        }
    }
    private static func isWord(_ byte: UInt8) -> Bool { isLetterOrDigit(byte) || byte == UInt8(ascii: "-") }
}

/// What pseudonyms are made with. Printing it shows nothing of it.
public struct PseudonymKey: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Shorter ones could be guessed.
    public static let minimumLength = 16
    private let bytes: [UInt8]

    public init(_ text: String = "") { bytes = Array(text.utf8) }

    public var description: String { "********" }
    public var debugDescription: String { description }
    public var customMirror: Swift.Mirror { Swift.Mirror(self, children: []) }

    func pseudonym(of value: String, _ prefix: String) -> String { "\(prefix)-\(HMAC.sha256(value, key: bytes).hex.prefix(16))" }

    /// Tells it from another one, and nothing else.
    var fingerprint: String { HMAC.sha256("mlmirror: which key", key: bytes).hex }
}
