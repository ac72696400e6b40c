/// The way of some experiments and models, or of all, to `azureml-only`: how far it is, and what it waits for.
public struct ModeSwitch: Sendable, Hashable, Codable {
    public enum Step: String, Sendable, Hashable, Codable, CaseIterable {
        /// The feed is to say everything up to now; then the cutover is noted.
        case fence
        /// The primary is listed anew, and everything up to then is carried across.
        case drain
        /// Both sides are compared.
        case verify
        /// Nothing on the secondary is written over any more; what was begun before that is finished.
        case seal
        case sealed
    }

    public var scope: NameScope
    public var step = Step.fence
    /// Every metric point and every byte of every file is compared.
    public var isDeep: Bool
    /// It goes on although both sides differ.
    public var acceptsDifferences: Bool
    /// Milliseconds since 1970, all of them. This one tells it from an earlier one of the same scope.
    public var askedAt: Int64
    public var verifiedAt: Int64?
    public var sealedAt: Int64?
    /// When what differs was left to people.
    public var blockedAt: Int64?
    /// The position of the change log at the fence.
    public var cutover: Int64?
    /// What is to be on the secondary before it is compared; nil: not known yet.
    public var drainsTo: Int64?
    /// How often that was reached: what is carried across may bring more, as a run its files.
    public var drains = 0
    /// By the last comparison: things compared, differences, a few of them (ids and fields, no values), things that were being written meanwhile.
    public var compared: [String: Int] = [:]
    public var differences = 0
    public var examples: [String] = []
    public var moving = 0
    /// Comparisons since it was asked for.
    public var comparisons = 0
    /// Why it is not a step further; nil: it is at work.
    public var waitsFor: String?

    public init(_ scope: NameScope, askedAt: Int64, isDeep: Bool = false, acceptsDifferences: Bool = false) {
        self.scope = scope
        self.askedAt = askedAt
        self.isDeep = isDeep
        self.acceptsDifferences = acceptsDifferences
    }

    /// Both sides differ, and nothing more is tried for now.
    public var isBlocked: Bool { step == .verify && blockedAt != nil }

    /// Under it the secondary is never written over.
    public var isSealing: Bool { step == .seal || step == .sealed }
}

/// Every switch that people have asked for and not taken back.
public struct ModeLedger: Sendable, Hashable, Codable {
    public var switches: [ModeSwitch] = []
    public init() {}

    /// Of the installation as a whole.
    public var mode: Mode { switches.contains { $0.scope == .everything && $0.isSealing } ? .azureMLOnly : .dual }
    var hasSeals: Bool { switches.contains(where: \.isSealing) }
    var sealedScopes: [NameScope] { switches.filter(\.isSealing).map(\.scope) }

    /// All the way: nothing is under way any more that was begun before.
    func isSealed(_ experiment: String) -> Bool { switches.contains { $0.step == .sealed && $0.scope.holds(experimentNamed: experiment) } }

    public func mode(ofExperimentNamed name: String) -> Mode { seal(ofExperimentNamed: name) == nil ? .dual : .azureMLOnly }
    public func mode(ofModelNamed name: ModelName) -> Mode { seal(ofModelNamed: name) == nil ? .dual : .azureMLOnly }

    func seal(ofExperimentNamed name: String) -> NameScope? { sealedScopes.first { $0.holds(experimentNamed: name) } }
    func seal(ofModelNamed name: ModelName) -> NameScope? { sealedScopes.first { $0.holds(modelNamed: name) } }

    /// Where this very switch stands; nil: it was taken back, or asked for anew.
    func index(of one: ModeSwitch) -> Int? { switches.firstIndex { $0.scope == one.scope && $0.askedAt == one.askedAt } }

    /// Asks for a switch; one of the same scope that is not sealed yet begins anew.
    public mutating func ask(_ new: ModeSwitch) {
        if let at = switches.firstIndex(where: { $0.scope == new.scope }) {
            guard !switches[at].isSealing else { return }
            switches[at] = new
        } else {
            switches.append(new)
        }
    }

    /// Back to `dual`: with `.everything` every switch ends, else the one of this very scope.
    ///
    /// - Returns: those that ended; empty: there was none.
    public mutating func end(_ scope: NameScope) -> [ModeSwitch] {
        let ended = scope == .everything ? switches : switches.filter { $0.scope == scope }
        switches.removeAll { ended.contains($0) }
        return ended
    }
}
