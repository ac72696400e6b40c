/// Names that are meant, as shell-like patterns in order; the last one that matches decides, `!` in front excludes.
///
/// `*` is any text without `/`, `**` any text, `?` one character but `/`. A list that begins with an exclusion starts from everything.
public struct PatternList: Sendable, Hashable {
    public let patterns: [String]
    public init(_ patterns: [String]) { self.patterns = patterns }
    public static let everything = PatternList([])

    /// Whether a pattern says nothing: what was left out by mistake, an empty variable of a shell for example, and would mean something else.
    public static func isBlank(_ pattern: String) -> Bool { pattern.isEmpty || pattern == "!" }

    public func matches(_ name: String) -> Bool {
        guard let first = patterns.first else { return true }
        var included = first.hasPrefix("!")
        for pattern in patterns {
            let excludes = pattern.hasPrefix("!")
            if Self.match(Array((excludes ? pattern.dropFirst() : pattern[...]).unicodeScalars), Array(name.unicodeScalars)) {
                included = !excludes
            }
        }
        return included
    }

    /// Every reachable pattern position is followed at once: time is pattern length times name length whatever the pattern.
    private static func match(_ pattern: [Unicode.Scalar], _ name: [Unicode.Scalar]) -> Bool {
        var positions = closure([0], pattern)
        for scalar in name {
            var next: Set<Int> = []
            for at in positions where at < pattern.count {
                switch pattern[at] {
                case "*":
                    let crosses = at + 1 < pattern.count && pattern[at + 1] == "*" || at > 0 && pattern[at - 1] == "*"
                    if crosses || scalar != "/" { next.insert(at) }
                case "?": if scalar != "/" { next.insert(at + 1) }
                default: if pattern[at] == scalar { next.insert(at + 1) }
                }
            }
            positions = closure(next, pattern)
        }
        return positions.contains(pattern.count)
    }

    /// A star may also stand for nothing.
    private static func closure(_ positions: Set<Int>, _ pattern: [Unicode.Scalar]) -> Set<Int> {
        var all = positions
        var pending = Array(positions)
        while let at = pending.popLast() {
            if at < pattern.count, pattern[at] == "*", all.insert(at + 1).inserted { pending.append(at + 1) }
        }
        return all
    }
}
