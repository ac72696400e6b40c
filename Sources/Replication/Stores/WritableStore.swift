public struct NewRun: Sendable, Hashable {
    public var experiment: ExperimentID
    public var name: String
    public var userID: String
    public var startTime: Int64
    public var tags: [Tag]
    public init(experiment: ExperimentID, name: String, userID: String, startTime: Int64, tags: [Tag]) {
        self.experiment = experiment
        self.name = name
        self.userID = userID
        self.startTime = startTime
        self.tags = tags
    }
}

public struct NewLoggedModel: Sendable, Hashable {
    public var experiment: ExperimentID
    public var name: String
    public var modelType: String?
    public var sourceRun: RunID?
    public var params: [Param]
    public var tags: [Tag]
    public init(experiment: ExperimentID, name: String, modelType: String?, sourceRun: RunID?, params: [Param], tags: [Tag]) {
        self.experiment = experiment
        self.name = name
        self.modelType = modelType
        self.sourceRun = sourceRun
        self.params = params
        self.tags = tags
    }
}

public struct NewVersion: Sendable, Hashable {
    public var model: ModelName
    public var source: String
    public var run: RunID?
    public var runLink: String?
    public var loggedModel: LoggedModelID?
    public var description: String
    public var tags: [Tag]
    public init(
        model: ModelName, source: String, run: RunID? = nil, runLink: String? = nil, loggedModel: LoggedModelID? = nil,
        description: String = "", tags: [Tag] = []
    ) {
        self.model = model
        self.source = source
        self.run = run
        self.runLink = runLink
        self.loggedModel = loggedModel
        self.description = description
        self.tags = tags
    }
}

public struct MetricRow: Sendable, Hashable {
    public var key: String
    public var point: MetricPoint
    public init(key: String, point: MetricPoint) {
        self.key = key
        self.point = point
    }
}

/// What one log-batch carries. Within the dialect's limits; `BatchPlanner` cuts it so.
public struct RunBatch: Sendable, Hashable {
    public var metrics: [MetricRow] = []
    public var params: [Param] = []
    public var tags: [Tag] = []
    public init(metrics: [MetricRow] = [], params: [Param] = [], tags: [Tag] = []) {
        self.metrics = metrics
        self.params = params
        self.tags = tags
    }
    public var isEmpty: Bool { metrics.isEmpty && params.isEmpty && tags.isEmpty }
    public var count: Int { metrics.count + params.count + tags.count }
}

/// Writes one MLflow store.
///
/// Contract: every call is one write, sent at most once. A failure after which the store may have carried it out has
/// `isInDoubt`; creations (runs, logged models, versions) and, where the dialect says so, metric points are then read back by the
/// caller. `alreadyExists` is told apart from other refusals.
public protocol WritableStore: TrackingStore {
    func createExperiment(name: String, tags: [Tag]) async throws -> ExperimentID
    func renameExperiment(_ id: ExperimentID, to name: String) async throws
    func setTag(_ tag: Tag, ofExperiment id: ExperimentID) async throws
    func deleteTag(_ key: String, ofExperiment id: ExperimentID) async throws
    func deleteExperiment(_ id: ExperimentID) async throws
    func restoreExperiment(_ id: ExperimentID) async throws

    func createRun(_ run: NewRun) async throws -> Run
    func updateRun(_ id: RunID, status: Run.Status?, endTime: Int64?, name: String?) async throws
    func logBatch(_ batch: RunBatch, toRun id: RunID) async throws
    func deleteTag(_ key: String, ofRun id: RunID) async throws
    func logInputs(datasets: [DatasetInput], models: [LoggedModelID], toRun id: RunID) async throws
    func logOutputs(_ outputs: [ModelOutput], toRun id: RunID) async throws
    func deleteRun(_ id: RunID) async throws
    func restoreRun(_ id: RunID) async throws

    func createLoggedModel(_ model: NewLoggedModel) async throws -> LoggedModel
    func setStatus(_ status: LoggedModel.Status, ofLoggedModel id: LoggedModelID) async throws
    func setTags(_ tags: [Tag], ofLoggedModel id: LoggedModelID) async throws
    func deleteTag(_ key: String, ofLoggedModel id: LoggedModelID) async throws
    func logParams(_ params: [Param], toLoggedModel id: LoggedModelID) async throws
    /// Metrics of a logged model, all measured in one run. The run has the points too.
    func logMetrics(_ metrics: [ModelMetric], ofLoggedModel id: LoggedModelID, toRun run: RunID) async throws
    func deleteLoggedModel(_ id: LoggedModelID) async throws

    func createRegisteredModel(_ name: ModelName, description: String, tags: [Tag]) async throws
    func renameRegisteredModel(_ name: ModelName, to newName: ModelName) async throws
    func setDescription(_ text: String, ofRegisteredModel name: ModelName) async throws
    func setTag(_ tag: Tag, ofRegisteredModel name: ModelName) async throws
    func deleteTag(_ key: String, ofRegisteredModel name: ModelName) async throws
    func setAlias(_ alias: String, to version: Int, ofRegisteredModel name: ModelName) async throws
    func deleteAlias(_ alias: String, ofRegisteredModel name: ModelName) async throws
    func deleteRegisteredModel(_ name: ModelName) async throws

    /// The number that the store gave it.
    func createVersion(_ version: NewVersion) async throws -> Int
    func setDescription(_ text: String, ofVersion number: Int, of name: ModelName) async throws
    func setStage(_ stage: String, ofVersion number: Int, of name: ModelName) async throws
    func setTag(_ tag: Tag, ofVersion number: Int, of name: ModelName) async throws
    func deleteTag(_ key: String, ofVersion number: Int, of name: ModelName) async throws
    func deleteVersion(_ number: Int, of name: ModelName) async throws

    /// Writes a whole file of `size` bytes. Fewer or more bytes fail, and leave no file that looks complete where the store can help it.
    func writeArtifact(_ path: String, size: Int64, to owner: ArtifactOwner, _ bytes: ByteStream) async throws
    /// Has this store's own storage fetch a whole file. Where it does not, nothing has changed. Asked only where `dialect.fetchesFiles`.
    ///
    /// - Parameter progress: told that some of it has arrived.
    func copyArtifact(
        _ path: String, to owner: ArtifactOwner, from source: ArtifactCopySource, progress: @escaping @Sendable () -> Void
    ) async throws -> ArtifactCopy
}

extension WritableStore {
    public func copyArtifact(
        _ path: String, to owner: ArtifactOwner, from source: ArtifactCopySource, progress: @escaping @Sendable () -> Void
    ) async throws -> ArtifactCopy { .notTried }
}
