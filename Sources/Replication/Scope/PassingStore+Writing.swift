/// What is written there passes as it is: the canary's runs, and what is retired.
extension PassingStore: WritableStore where Base: WritableStore {
    public func createExperiment(name: String, tags: [Tag]) async throws -> ExperimentID {
        try await asking { try await base.createExperiment(name: name, tags: tags) }
    }
    public func renameExperiment(_ id: ExperimentID, to name: String) async throws {
        try await asking { try await base.renameExperiment(id, to: name) }
    }
    public func setTag(_ tag: Tag, ofExperiment id: ExperimentID) async throws {
        try await asking { try await base.setTag(tag, ofExperiment: id) }
    }
    public func deleteTag(_ key: String, ofExperiment id: ExperimentID) async throws {
        try await asking { try await base.deleteTag(key, ofExperiment: id) }
    }
    public func deleteExperiment(_ id: ExperimentID) async throws { try await asking { try await base.deleteExperiment(id) } }
    public func restoreExperiment(_ id: ExperimentID) async throws { try await asking { try await base.restoreExperiment(id) } }
    public func createRun(_ run: NewRun) async throws -> Run { passed(try await asking { try await base.createRun(run) }) }
    public func updateRun(_ id: RunID, status: Run.Status?, endTime: Int64?, name: String?) async throws {
        try await asking { try await base.updateRun(id, status: status, endTime: endTime, name: name) }
    }
    public func logBatch(_ batch: RunBatch, toRun id: RunID) async throws { try await asking { try await base.logBatch(batch, toRun: id) } }
    public func deleteTag(_ key: String, ofRun id: RunID) async throws { try await asking { try await base.deleteTag(key, ofRun: id) } }
    public func logInputs(datasets: [DatasetInput], models: [LoggedModelID], toRun id: RunID) async throws {
        try await asking { try await base.logInputs(datasets: datasets, models: models, toRun: id) }
    }
    public func logOutputs(_ outputs: [ModelOutput], toRun id: RunID) async throws {
        try await asking { try await base.logOutputs(outputs, toRun: id) }
    }
    public func deleteRun(_ id: RunID) async throws { try await asking { try await base.deleteRun(id) } }
    public func restoreRun(_ id: RunID) async throws { try await asking { try await base.restoreRun(id) } }
    public func createLoggedModel(_ model: NewLoggedModel) async throws -> LoggedModel {
        passed(try await asking { try await base.createLoggedModel(model) })
    }
    public func setStatus(_ status: LoggedModel.Status, ofLoggedModel id: LoggedModelID) async throws {
        try await asking { try await base.setStatus(status, ofLoggedModel: id) }
    }
    public func setTags(_ tags: [Tag], ofLoggedModel id: LoggedModelID) async throws {
        try await asking { try await base.setTags(tags, ofLoggedModel: id) }
    }
    public func deleteTag(_ key: String, ofLoggedModel id: LoggedModelID) async throws {
        try await asking { try await base.deleteTag(key, ofLoggedModel: id) }
    }
    public func logParams(_ params: [Param], toLoggedModel id: LoggedModelID) async throws {
        try await asking { try await base.logParams(params, toLoggedModel: id) }
    }
    public func logMetrics(_ metrics: [ModelMetric], ofLoggedModel id: LoggedModelID, toRun run: RunID) async throws {
        try await asking { try await base.logMetrics(metrics, ofLoggedModel: id, toRun: run) }
    }
    public func deleteLoggedModel(_ id: LoggedModelID) async throws { try await asking { try await base.deleteLoggedModel(id) } }
    public func createRegisteredModel(_ name: ModelName, description: String, tags: [Tag]) async throws {
        try await asking { try await base.createRegisteredModel(name, description: description, tags: tags) }
    }
    public func renameRegisteredModel(_ name: ModelName, to newName: ModelName) async throws {
        try await asking { try await base.renameRegisteredModel(name, to: newName) }
    }
    public func setDescription(_ text: String, ofRegisteredModel name: ModelName) async throws {
        try await asking { try await base.setDescription(text, ofRegisteredModel: name) }
    }
    public func setTag(_ tag: Tag, ofRegisteredModel name: ModelName) async throws {
        try await asking { try await base.setTag(tag, ofRegisteredModel: name) }
    }
    public func deleteTag(_ key: String, ofRegisteredModel name: ModelName) async throws {
        try await asking { try await base.deleteTag(key, ofRegisteredModel: name) }
    }
    public func setAlias(_ alias: String, to version: Int, ofRegisteredModel name: ModelName) async throws {
        try await asking { try await base.setAlias(alias, to: version, ofRegisteredModel: name) }
    }
    public func deleteAlias(_ alias: String, ofRegisteredModel name: ModelName) async throws {
        try await asking { try await base.deleteAlias(alias, ofRegisteredModel: name) }
    }
    public func deleteRegisteredModel(_ name: ModelName) async throws { try await asking { try await base.deleteRegisteredModel(name) } }
    public func createVersion(_ version: NewVersion) async throws -> Int { try await asking { try await base.createVersion(version) } }
    public func setDescription(_ text: String, ofVersion number: Int, of name: ModelName) async throws {
        try await asking { try await base.setDescription(text, ofVersion: number, of: name) }
    }
    public func setStage(_ stage: String, ofVersion number: Int, of name: ModelName) async throws {
        try await asking { try await base.setStage(stage, ofVersion: number, of: name) }
    }
    public func setTag(_ tag: Tag, ofVersion number: Int, of name: ModelName) async throws {
        try await asking { try await base.setTag(tag, ofVersion: number, of: name) }
    }
    public func deleteTag(_ key: String, ofVersion number: Int, of name: ModelName) async throws {
        try await asking { try await base.deleteTag(key, ofVersion: number, of: name) }
    }
    public func deleteVersion(_ number: Int, of name: ModelName) async throws {
        try await asking { try await base.deleteVersion(number, of: name) }
    }
    public func writeArtifact(_ path: String, size: Int64, to owner: ArtifactOwner, _ bytes: ByteStream) async throws {
        try await asking { try await base.writeArtifact(path, size: size, to: owner, bytes) }
    }
    public func copyArtifact(
        _ path: String, to owner: ArtifactOwner, from source: ArtifactCopySource, progress: @escaping @Sendable () -> Void
    ) async throws -> ArtifactCopy {
        try await asking { try await base.copyArtifact(path, to: owner, from: source, progress: progress) }
    }
}
