/// In which form the primary's things pass: what of them is left out, and what is masked.
public struct Passage: Sendable, Hashable {
    public var leaveOut: LeaveOut
    public var mask: Mask

    public init(leaveOut: LeaveOut = LeaveOut(), mask: Mask = Mask()) {
        self.leaveOut = leaveOut
        self.mask = mask
    }

    public static let everything = Passage()
    public var isWhole: Bool { self == .everything }
}

/// What is not copied of things that are: by patterns of names, of which the last that matches decides; `!` in front takes it back in.
public struct LeaveOut: Sendable, Hashable {
    /// Of everything that has tags.
    public var tags: [String]
    public var params: [String]
    /// Paths of files, from the root of what they belong to.
    public var artifacts: [String]

    public init(tags: [String] = [], params: [String] = [], artifacts: [String] = []) {
        self.tags = tags
        self.params = params
        self.artifacts = artifacts
    }

    public func holds(tag key: String) -> Bool { !Self.isOurs(key) && Self.lastMatch(tags, [key]) }
    public func holds(param key: String) -> Bool { Self.lastMatch(params, [key]) }
    /// A folder's name stands for all that is in it, and `**/*.tmp` is meant for files at the root too.
    public func holds(file path: String) -> Bool {
        guard !artifacts.isEmpty else { return false }
        let parts = path.split(separator: "/")
        let places = (1...max(1, parts.count)).map { parts.prefix($0).joined(separator: "/") }
        return Self.lastMatch(artifacts, places + places.map { "/" + $0 })
    }

    /// Nothing in it can be meant by a later pattern.
    func holds(folder path: String) -> Bool { !artifacts.contains { $0.hasPrefix("!") } && holds(file: path) }

    /// Our own marks, and what tells a prompt from a model, are not for people to leave out.
    static func isOurs(_ key: String) -> Bool {
        key.hasPrefix(Stamp.prefix) || key.hasPrefix(CanaryConfiguration.tagPrefix) || key == RegisteredModel.promptTag
    }

    private static func lastMatch(_ patterns: [String], _ names: [String]) -> Bool {
        patterns.reduce(false) { isIn, pattern in
            let excludes = pattern.hasPrefix("!")
            let list = PatternList([excludes ? String(pattern.dropFirst()) : pattern])
            return names.contains(where: list.matches) ? !excludes : isIn
        }
    }
}
