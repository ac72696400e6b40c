/// Soft deletion: MLflow keeps what it deletes until it is collected.
public enum Lifecycle: String, Sendable, Hashable, Codable {
    case active
    case deleted
}

public struct Tag: Sendable, Hashable {
    public var key: String
    public var value: String
    public init(_ key: String, _ value: String) {
        self.key = key
        self.value = value
    }
}

public struct Param: Sendable, Hashable {
    public var key: String
    public var value: String
    public init(_ key: String, _ value: String) {
        self.key = key
        self.value = value
    }
}

public struct Experiment: Sendable, Hashable {
    public var id: ExperimentID
    public var name: String
    public var artifactLocation: String
    public var lifecycle: Lifecycle
    /// Milliseconds since 1970; nil where the store keeps none.
    public var creationTime: Int64?
    public var lastUpdateTime: Int64?
    public var tags: [Tag]
    /// Judged by the name that it had before it was masked; nil: not masked.
    var isInScope: Bool?
    /// By the configuration's map from that name.
    var nameThere: String?

    public init(
        id: ExperimentID, name: String, artifactLocation: String = "", lifecycle: Lifecycle = .active, creationTime: Int64? = nil,
        lastUpdateTime: Int64? = nil, tags: [Tag] = []
    ) {
        self.id = id
        self.name = name
        self.artifactLocation = artifactLocation
        self.lifecycle = lifecycle
        self.creationTime = creationTime
        self.lastUpdateTime = lastUpdateTime
        self.tags = tags
    }
}

public struct DatasetInput: Sendable, Hashable {
    public var name: String
    public var digest: String
    public var sourceType: String
    public var source: String
    public var schema: String?
    public var profile: String?
    public var tags: [Tag]
    public init(
        name: String, digest: String, sourceType: String, source: String, schema: String? = nil, profile: String? = nil, tags: [Tag] = []
    ) {
        self.name = name
        self.digest = digest
        self.sourceType = sourceType
        self.source = source
        self.schema = schema
        self.profile = profile
        self.tags = tags
    }
}

public struct ModelOutput: Sendable, Hashable {
    public var model: LoggedModelID
    public var step: Int64
    public init(model: LoggedModelID, step: Int64) {
        self.model = model
        self.step = step
    }
}

public struct Run: Sendable, Hashable {
    public enum Status: String, Sendable {
        case running = "RUNNING"
        case scheduled = "SCHEDULED"
        case finished = "FINISHED"
        case failed = "FAILED"
        case killed = "KILLED"
        public var isTerminal: Bool { self != .running && self != .scheduled }
    }
    public var id: RunID
    public var experiment: ExperimentID
    public var name: String
    public var userID: String
    public var status: Status
    /// Milliseconds since 1970.
    public var startTime: Int64
    public var endTime: Int64?
    public var lifecycle: Lifecycle
    public var artifactURI: String
    public var params: [Param]
    public var tags: [Tag]
    public var latestMetrics: [LatestMetric]
    public var datasets: [DatasetInput]
    public var modelInputs: [LoggedModelID]
    public var modelOutputs: [ModelOutput]
    /// By path; only where they are carried.
    public var unknown: [UnknownField] = []
    /// Whether its owner is in scope, judged before that was masked; nil: not masked.
    var isInScope: Bool?

    public init(
        id: RunID, experiment: ExperimentID, name: String = "", userID: String = "", status: Status = .running, startTime: Int64 = 0,
        endTime: Int64? = nil, lifecycle: Lifecycle = .active, artifactURI: String = "", params: [Param] = [], tags: [Tag] = [],
        latestMetrics: [LatestMetric] = [], datasets: [DatasetInput] = [], modelInputs: [LoggedModelID] = [],
        modelOutputs: [ModelOutput] = []
    ) {
        self.id = id
        self.experiment = experiment
        self.name = name
        self.userID = userID
        self.status = status
        self.startTime = startTime
        self.endTime = endTime
        self.lifecycle = lifecycle
        self.artifactURI = artifactURI
        self.params = params
        self.tags = tags
        self.latestMetrics = latestMetrics
        self.datasets = datasets
        self.modelInputs = modelInputs
        self.modelOutputs = modelOutputs
    }
}

public struct LoggedModel: Sendable, Hashable {
    public enum Status: String, Sendable {
        case unspecified = "LOGGED_MODEL_STATUS_UNSPECIFIED"
        case pending = "LOGGED_MODEL_PENDING"
        case ready = "LOGGED_MODEL_READY"
        case uploadFailed = "LOGGED_MODEL_UPLOAD_FAILED"
    }
    public var id: LoggedModelID
    public var experiment: ExperimentID
    public var name: String
    public var modelType: String?
    public var sourceRun: RunID?
    public var status: Status
    public var statusMessage: String?
    public var artifactURI: String
    public var creationTime: Int64?
    public var lastUpdateTime: Int64?
    public var params: [Param]
    public var tags: [Tag]
    public var metrics: [ModelMetric]
    /// By path; only where they are carried.
    public var unknown: [UnknownField] = []
    /// Whether its owner is in scope, judged before that was masked; nil: not masked.
    var isInScope: Bool?

    public init(
        id: LoggedModelID, experiment: ExperimentID, name: String, modelType: String? = nil, sourceRun: RunID? = nil,
        status: Status = .pending, statusMessage: String? = nil, artifactURI: String = "", creationTime: Int64? = nil,
        lastUpdateTime: Int64? = nil, params: [Param] = [], tags: [Tag] = [], metrics: [ModelMetric] = []
    ) {
        self.id = id
        self.experiment = experiment
        self.name = name
        self.modelType = modelType
        self.sourceRun = sourceRun
        self.status = status
        self.statusMessage = statusMessage
        self.artifactURI = artifactURI
        self.creationTime = creationTime
        self.lastUpdateTime = lastUpdateTime
        self.params = params
        self.tags = tags
        self.metrics = metrics
    }
}

/// One entry of an artifact listing. `path` is relative to the owner's artifact root, with `/` between its parts.
public struct ArtifactEntry: Sendable, Hashable {
    public var path: String
    public var isDirectory: Bool
    /// Bytes; nil where the store does not say.
    public var size: Int64?
    public init(path: String, isDirectory: Bool, size: Int64?) {
        self.path = path
        self.isDirectory = isDirectory
        self.size = size
    }
}

extension [Tag] {
    fileprivate var user: String? { first { $0.key == "mlflow.user" }?.value }
}

extension Run {
    /// Who made it, as MLflow's clients show it.
    public var owner: String { tags.user ?? userID }
}

extension LoggedModel {
    /// Nil where nobody is named.
    public var owner: String? { tags.user }
}
