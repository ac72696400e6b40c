/// Ids of the primary that occur inside values, and their rewriting to the secondary's.
///
/// Only where the id stands for the thing itself: the parent run, the log-model history, and `runs:/` and `models:/m-` URIs. Any other
/// text that happens to look like an id is left alone.
public enum References {
    public static let parentKey = "mlflow.parentRunId"
    static let historyKey = "mlflow.log-model.history"

    public struct Found: Sendable, Hashable {
        public var runs: Set<RunID> = []
        public var models: Set<LoggedModelID> = []
        public var isEmpty: Bool { runs.isEmpty && models.isEmpty }
        public mutating func formUnion(_ other: Found) {
            runs.formUnion(other.runs)
            models.formUnion(other.models)
        }
    }

    /// Known ids, from the primary's to the secondary's.
    public struct Map: Sendable, Hashable {
        public var runs: [RunID: RunID]
        public var models: [LoggedModelID: LoggedModelID]
        public init(runs: [RunID: RunID] = [:], models: [LoggedModelID: LoggedModelID] = [:]) {
            self.runs = runs
            self.models = models
        }
        public func covers(_ found: Found) -> Bool {
            found.runs.allSatisfy { runs[$0] != nil } && found.models.allSatisfy { models[$0] != nil }
        }
    }

    public static func find(in tag: Tag) -> Found {
        var found = Found()
        for token in tokens(tag) {
            if token.isModel { found.models.insert(LoggedModelID(token.id)) } else { found.runs.insert(RunID(token.id)) }
        }
        return found
    }

    public static func find(in tags: [Tag]) -> Found {
        tags.reduce(into: Found()) { $0.formUnion(find(in: $1)) }
    }

    /// The tag with every known id replaced; unknown ids stay.
    public static func rewrite(_ tag: Tag, _ map: Map) -> Tag {
        var value = ""
        var at = tag.value.startIndex
        for token in tokens(tag) {
            let new = token.isModel ? map.models[LoggedModelID(token.id)]?.rawValue : map.runs[RunID(token.id)]?.rawValue
            guard let new else { continue }
            value += tag.value[at..<token.range.lowerBound]
            value += new
            at = token.range.upperBound
        }
        value += tag.value[at...]
        return Tag(tag.key, value)
    }

    /// `runs:/ID/path` or `models:/m-ID`, as a version's source or a URI anywhere.
    public static func rewrite(uri: String, _ map: Map) -> String { rewrite(Tag("", uri), map).value }
    public static func find(inURI uri: String) -> Found { find(in: Tag("", uri)) }

    private struct Token {
        var range: Range<String.Index>
        var id: String
        var isModel: Bool
    }

    private static func tokens(_ tag: Tag) -> [Token] {
        if tag.key == parentKey {
            return tag.value.isEmpty ? [] : [Token(range: tag.value.startIndex..<tag.value.endIndex, id: tag.value, isModel: false)]
        }
        let anywhere = tag.key == historyKey
        guard anywhere || tag.value.utf8.contains(UInt8(ascii: ":")) else { return [] }
        let bytes = Array(tag.value.utf8)
        var tokens: [Token] = []
        var at = 0
        while at + 32 <= bytes.count {
            guard isHex(bytes[at]) else {
                at += 1
                continue
            }
            var end = at
            while end < bytes.count, isHex(bytes[end]) { end += 1 }
            let startsWord = at == 0 || !isWord(bytes[at - 1]) || isModelPrefix(bytes, at)
            if end - at == 32, startsWord, end == bytes.count || !isWord(bytes[end]) {
                let isModel = isModelPrefix(bytes, at)
                let start = isModel ? at - 2 : at
                if anywhere || isURI(bytes, before: start, isModel) {
                    let lower = tag.value.utf8.index(tag.value.utf8.startIndex, offsetBy: start)
                    let upper = tag.value.utf8.index(tag.value.utf8.startIndex, offsetBy: end)
                    tokens.append(Token(range: lower..<upper, id: String(tag.value[lower..<upper]), isModel: isModel))
                }
            }
            at = max(end, at + 1)
        }
        return tokens
    }

    private static func isHex(_ byte: UInt8) -> Bool { byte >= 48 && byte <= 57 || byte >= 97 && byte <= 102 }
    private static func isWord(_ byte: UInt8) -> Bool {
        isHex(byte) || byte >= 65 && byte <= 90 || byte >= 97 && byte <= 122 || byte == 95 || byte == 45
    }
    private static func isModelPrefix(_ bytes: [UInt8], _ at: Int) -> Bool {
        at >= 2 && bytes[at - 2] == UInt8(ascii: "m") && bytes[at - 1] == UInt8(ascii: "-") && (at == 2 || !isWord(bytes[at - 3]))
    }
    private static func isURI(_ bytes: [UInt8], before start: Int, _ isModel: Bool) -> Bool {
        let scheme = Array((isModel ? "models:/" : "runs:/").utf8)
        guard start >= scheme.count else { return false }
        return Array(bytes[(start - scheme.count)..<start]) == scheme
            || start > scheme.count && Array(bytes[(start - scheme.count - 1)..<start]) == scheme + [UInt8(ascii: "/")]
    }
}
