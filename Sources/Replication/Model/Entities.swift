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

/// One point of a metric's history. Two points may share timestamp and step.
public struct MetricPoint: Sendable, Hashable {
    public var value: Double
    /// Milliseconds since 1970, as the client gave it: not the time of writing.
    public var timestamp: Int64
    public var step: Int64
    public init(value: Double, timestamp: Int64, step: Int64) {
        self.value = value
        self.timestamp = timestamp
        self.step = step
    }
}

extension MetricPoint {
    /// By timestamp, step and value, as MLflow's SQL store orders a history. It keeps NaN as the value 0 with a mark.
    public func precedesInHistory(_ other: MetricPoint) -> Bool {
        if timestamp != other.timestamp { return timestamp < other.timestamp }
        if step != other.step { return step < other.step }
        let (a, b) = (value.isNaN ? 0 : value, other.value.isNaN ? 0 : other.value)
        return a == b ? !value.isNaN && other.value.isNaN : a < b
    }

    /// Neither precedes the other where NaN counts as zero.
    func ranksAlike(_ other: MetricPoint) -> Bool {
        timestamp == other.timestamp && step == other.step && (value.isNaN ? 0 : value) == (other.value.isNaN ? 0 : other.value)
    }

    public func isSameInHistory(as other: MetricPoint) -> Bool {
        timestamp == other.timestamp && step == other.step && (value == other.value || value.isNaN && other.value.isNaN)
    }
}

extension [MetricPoint] {
    /// Whether a history has come as far as a record that shows this as the latest point.
    public func shows(_ latest: MetricPoint) -> Bool { reversed().contains { $0.isSameInHistory(as: latest) } }
}

/// A metric's latest point, as a run's record shows it.
public struct LatestMetric: Sendable, Hashable {
    public var key: String
    public var point: MetricPoint
    public init(key: String, point: MetricPoint) {
        self.key = key
        self.point = point
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

/// A metric that belongs to a logged model: one point of one run, with the dataset it was measured on.
public struct ModelMetric: Sendable, Hashable {
    public var key: String
    public var point: MetricPoint
    public var run: RunID
    public var datasetName: String?
    public var datasetDigest: String?
    public init(key: String, point: MetricPoint, run: RunID, datasetName: String? = nil, datasetDigest: String? = nil) {
        self.key = key
        self.point = point
        self.run = run
        self.datasetName = datasetName
        self.datasetDigest = datasetDigest
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

public struct ModelVersion: Sendable, Hashable {
    public var model: ModelName
    /// From 1; numbers of deleted versions are not used again.
    public var number: Int
    public var source: String
    public var run: RunID?
    public var runLink: String?
    public var loggedModel: LoggedModelID?
    public var userID: String?
    public var stage: String
    public var description: String
    public var status: String
    public var tags: [Tag]

    public init(
        model: ModelName, number: Int, source: String, run: RunID? = nil, runLink: String? = nil, loggedModel: LoggedModelID? = nil,
        userID: String? = nil, stage: String = "None", description: String = "", status: String = "READY", tags: [Tag] = []
    ) {
        self.model = model
        self.number = number
        self.source = source
        self.run = run
        self.runLink = runLink
        self.loggedModel = loggedModel
        self.userID = userID
        self.stage = stage
        self.description = description
        self.status = status
        self.tags = tags
    }

    /// Its files are not there yet.
    public var isPending: Bool { status == "PENDING_REGISTRATION" }
}

public struct RegisteredModel: Sendable, Hashable {
    public var name: ModelName
    public var description: String
    public var creationTime: Int64?
    public var lastUpdateTime: Int64?
    public var tags: [Tag]
    /// Alias to version number.
    public var aliases: [String: Int]
    static let promptTag = "mlflow.prompt.is_prompt"
    /// A prompt is kept in the registry as a model; it is none.
    public var isPrompt: Bool { tags.contains { $0.key == Self.promptTag && $0.value.lowercased() == "true" } }

    public init(
        name: ModelName, description: String = "", creationTime: Int64? = nil, lastUpdateTime: Int64? = nil, tags: [Tag] = [],
        aliases: [String: Int] = [:]
    ) {
        self.name = name
        self.description = description
        self.creationTime = creationTime
        self.lastUpdateTime = lastUpdateTime
        self.tags = tags
        self.aliases = aliases
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
