public struct MirrorConfiguration: Sendable, Hashable {
    /// The pair's name: letters, digits, `.`, `_`, `-`.
    public var pair = "default"
    public var scope = Scope.everything
    /// What is done about conflicts.
    public var rules = ConflictRules.standard
    /// People may change what is on the secondary: it is read before it is written over. Where they do not, that read is saved.
    public var secondaryIsEdited = true
    /// Entities in flight, 1...64.
    public var window = 8
    /// Files in flight, 1...32.
    public var artifactWindow = 4
    /// Where the secondary's storage can fetch a file from the primary's, it does.
    public var copiesInStorage = true
    /// Looks again at the histories and files of runs whose record has not changed.
    public var deep = false
    /// Makes the secondary equal where verification found that it is not, whoever changed it: also what it has too much is removed from what is ours.
    var repairs = false
    /// Files are listed again after this many milliseconds; nil: never.
    var filePause: Int64?
    /// And until so many milliseconds after their owner's end.
    var fileGrace: Int64 = 0
    /// Milliseconds between two writings of an open run's overflow document that has histories.
    public var overflowPause: Int64 = 60_000
    /// Attempts at one entity, with growing pauses (about two minutes in all), before it is set aside or the work stops.
    public var attempts = 10
    /// Seconds that a write may be under way at most after whoever sent it has gone, or has had no answer.
    public var landingTime = 10.0
    /// What is done with what changes on the primary after its cutover.
    public var stragglers = StragglerRule.carry
    /// What experiments are called whose names the secondary does not take.
    public var experimentNames = NameTemplate.last
    public init() {}
}
