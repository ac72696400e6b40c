/// What was done so far, by kind. Adding two gives what both did.
public struct Counts: Sendable, Hashable {
    public struct Entities: Sendable, Hashable {
        public var created = 0
        /// Found on the secondary by its stamp, or by its name where the rule is `adopt`.
        public var adopted = 0
        public var updated = 0
        public var unchanged = 0
        public var deleted = 0
        public init() {}
        public var written: Int { created + adopted + updated + deleted }
        public var seen: Int { written + unchanged }
    }
    public var experiments = Entities()
    public var runs = Entities()
    public var loggedModels = Entities()
    public var registeredModels = Entities()
    public var versions = Entities()
    public var params = 0
    public var tags = 0
    public var metricPoints = 0
    public var inputs = 0
    public var files = 0
    public var fileBytes: Int64 = 0
    /// Of these, what storage has copied from storage: they did not pass through here.
    public var copiedFileBytes: Int64 = 0
    public var requests = 0
    public var retries = 0
    /// What could not stand on the secondary as it was, and how it was written instead: label to count.
    public var conversions: [String: Int] = [:]
    /// What is out of scope by design or by choice: label to count.
    public var leftOut: [String: Int] = [:]
    public var conflicts = 0
    public var deadLetters = 0
    public init() {}

    /// Every label of `conversions`.
    public static let conversionKinds = [
        "alias_as_tag", "alias_without_version", "empty_run_name", "experiment_name", "experiment_tag_emptied", "logged_model_as_files",
        "model_metric_without_run", "model_without_counterpart", "overflow", "status", "unknown_fields", "version_number_filled",
        "version_status",
    ]
}

/// How far the work is, for a person who watches. `total` counts are what enumeration has found so far.
public struct ProgressSnapshot: Sendable, Hashable {
    public var phase = "starting"
    public var counts = Counts()
    public var runsTotal = 0
    public var enumerationComplete = false
    /// In the change log, not finished.
    public var pending = 0
    public init() {}
}
