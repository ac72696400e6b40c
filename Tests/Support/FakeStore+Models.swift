public import Replication

extension FakeStore {
    // MARK: - Logged models

    public func createLoggedModel(_ model: NewLoggedModel) async throws -> LoggedModel {
        try await perform("createLoggedModel", model.name, detail: Self.text(model.tags)) { [self] state throws(StoreError) in
            guard dialect.hasLoggedModels else { throw unsupported("logged models") }
            guard let experiment = state.experiments[model.experiment] else { throw notFound("experiment \(model.experiment)") }
            guard experiment.lifecycle == .active else { throw invalid("experiment \(model.experiment) must be active") }
            let id = LoggedModelID("m-" + freshID(&state))
            let now = state.tick()
            let created = LoggedModel(
                id: id, experiment: model.experiment, name: model.name.isEmpty ? "unnamed-\(state.nextID)" : model.name,
                modelType: model.modelType, sourceRun: model.sourceRun,
                artifactURI: "\(experiment.artifactLocation)/models/\(id)/artifacts", creationTime: now, lastUpdateTime: now,
                params: model.params.sorted { $0.key < $1.key }, tags: model.tags.sorted { $0.key < $1.key })
            state.loggedModels[id] = created
            return created
        }
    }

    public func setStatus(_ status: LoggedModel.Status, ofLoggedModel id: LoggedModelID) async throws {
        try await perform("setLoggedModelStatus", id.rawValue, detail: status.rawValue) { [self] state throws(StoreError) in
            try known(id, in: state)
            state.loggedModels[id]?.status = status
            let now = state.tick()
            state.loggedModels[id]?.lastUpdateTime = now
        }
    }

    public func setTags(_ tags: [Tag], ofLoggedModel id: LoggedModelID) async throws {
        try await perform("setLoggedModelTags", id.rawValue, detail: Self.text(tags)) { [self] state throws(StoreError) in
            try known(id, in: state)
            for tag in tags { state.loggedModels[id]?.tags[tag.key] = tag.value }
        }
    }

    public func deleteTag(_ key: String, ofLoggedModel id: LoggedModelID) async throws {
        try await perform("deleteLoggedModelTag", id.rawValue, detail: key) { [self] state throws(StoreError) in
            try known(id, in: state)
            guard state.loggedModels[id]?.tags[key] != nil else { throw notFound("tag \(key) of logged model \(id)") }
            state.loggedModels[id]?.tags[key] = nil
        }
    }

    public func logParams(_ params: [Param], toLoggedModel id: LoggedModelID) async throws {
        try await perform("logLoggedModelParams", id.rawValue, detail: "\(params.count) params") { [self] state throws(StoreError) in
            try known(id, in: state)
            let keys = Set(state.loggedModels[id]?.params.map(\.key) ?? [])
            if let twice = params.first(where: { keys.contains($0.key) }) { throw exists("param \(twice.key) of logged model \(id)") }
            state.loggedModels[id]?.params += params
            state.loggedModels[id]?.params.sort { $0.key < $1.key }
        }
    }

    public func logMetrics(_ metrics: [ModelMetric], ofLoggedModel id: LoggedModelID, toRun run: RunID) async throws {
        try await logBatch(RunBatch(metrics: metrics.map { MetricRow(key: $0.key, point: $0.point) }), toRun: run)
        try await perform("logLoggedModelMetrics", id.rawValue, detail: "\(metrics.count) metrics") { [self] state throws(StoreError) in
            try known(id, in: state)
            for var metric in metrics {
                metric.run = run
                let isKnown = state.loggedModels[id]?.metrics.contains { old in
                    old.key == metric.key && old.run == run && old.point.timestamp == metric.point.timestamp
                        && old.point.step == metric.point.step
                }
                if isKnown == false { state.loggedModels[id]?.metrics.append(metric) }
            }
        }
    }

    public func deleteLoggedModel(_ id: LoggedModelID) async throws {
        try await perform("deleteLoggedModel", id.rawValue) { [self] state throws(StoreError) in
            try known(id, in: state)
            state.deletedLoggedModels.insert(id)
            let now = state.tick()
            state.loggedModels[id]?.lastUpdateTime = now
        }
    }

    private func known(_ id: LoggedModelID, in state: State) throws(StoreError) {
        guard state.loggedModels[id] != nil else { throw notFound("logged model \(id)") }
    }

    // MARK: - Registry

    public func createRegisteredModel(_ name: ModelName, description: String, tags: [Tag]) async throws {
        try await perform("createRegisteredModel", name.rawValue) { [self] state throws(StoreError) in
            guard !name.rawValue.isEmpty, !name.rawValue.contains("/"), !name.rawValue.contains(":") else {
                throw invalid("\(name) is no name for a registered model")
            }
            guard dialect.modelNames?.fitting(name.rawValue) ?? name.rawValue == name.rawValue else {
                throw invalid("the name \(name) is not taken")
            }
            guard state.registered[name] == nil else { throw exists("registered model \(name)") }
            let now = state.tick()
            state.registered[name] = ModelRecord(
                model: RegisteredModel(
                    name: name, description: description, creationTime: now, lastUpdateTime: now, tags: tags.sorted { $0.key < $1.key }))
        }
    }

    public func renameRegisteredModel(_ name: ModelName, to newName: ModelName) async throws {
        try await perform("renameRegisteredModel", name.rawValue, detail: newName.rawValue) { [self] state throws(StoreError) in
            guard dialect.renamesModels else { throw unsupported("renaming a registered model") }
            guard var record = state.registered[name] else { throw notFound("registered model \(name)") }
            guard state.registered[newName] == nil else { throw exists("registered model \(newName)") }
            record.model.name = newName
            record.model.lastUpdateTime = state.tick()
            record.versions = record.versions.mapValues { version in
                var version = version
                version.model = newName
                return version
            }
            state.registered[name] = nil
            state.registered[newName] = record
        }
    }

    public func setDescription(_ text: String, ofRegisteredModel name: ModelName) async throws {
        try await change("setModelDescription", name, detail: text) { record throws(StoreError) in record.model.description = text }
    }

    public func setTag(_ tag: Tag, ofRegisteredModel name: ModelName) async throws {
        try await change("setModelTag", name, detail: Self.text([tag])) { record throws(StoreError) in
            record.model.tags[tag.key] = tag.value
        }
    }

    public func deleteTag(_ key: String, ofRegisteredModel name: ModelName) async throws {
        try await change("deleteModelTag", name, detail: key) { record throws(StoreError) in record.model.tags[key] = nil }
    }

    public func setAlias(_ alias: String, to version: Int, ofRegisteredModel name: ModelName) async throws {
        try await change("setAlias", name, detail: "\(alias)=\(version)") { [self] record throws(StoreError) in
            guard dialect.hasAliases else { throw unsupported("aliases") }
            guard record.versions[version] != nil else { throw notFound("version \(version) of \(name)") }
            record.model.aliases[alias] = version
        }
    }

    public func deleteAlias(_ alias: String, ofRegisteredModel name: ModelName) async throws {
        try await change("deleteAlias", name, detail: alias) { [self] record throws(StoreError) in
            guard dialect.hasAliases else { throw unsupported("aliases") }
            record.model.aliases[alias] = nil
        }
    }

    public func deleteRegisteredModel(_ name: ModelName) async throws {
        try await perform("deleteRegisteredModel", name.rawValue) { [self] state throws(StoreError) in
            guard dialect.renamesModels else { throw unsupported("deleting a registered model") }
            guard state.registered.removeValue(forKey: name) != nil else { throw notFound("registered model \(name)") }
        }
    }

    public func createVersion(_ version: NewVersion) async throws -> Int {
        let roots = dialect.registersOwnFilesOnly ? state.withLock { $0.runs.values.map(\.run.artifactURI) } : []
        return try await change("createVersion", version.model, detail: Self.text(version.tags)) { [self] record throws(StoreError) in
            if dialect.registersOwnFilesOnly, !roots.contains(where: { version.source.hasPrefix($0 + "/") }) {
                throw invalid("the source \(version.source) is none of this store's files")
            }
            record.lastNumber += 1
            record.versions[record.lastNumber] = ModelVersion(
                model: version.model, number: record.lastNumber, source: version.source, run: version.run, runLink: version.runLink,
                loggedModel: version.loggedModel, description: version.description, tags: version.tags.sorted { $0.key < $1.key })
            return record.lastNumber
        }
    }

    public func setDescription(_ text: String, ofVersion number: Int, of name: ModelName) async throws {
        try await change("setVersionDescription", name, number, detail: text) { $0.description = text }
    }

    public func setStage(_ stage: String, ofVersion number: Int, of name: ModelName) async throws {
        try await change("setStage", name, number, detail: stage) { $0.stage = stage }
    }

    public func setTag(_ tag: Tag, ofVersion number: Int, of name: ModelName) async throws {
        try await change("setVersionTag", name, number, detail: Self.text([tag])) { $0.tags[tag.key] = tag.value }
    }

    public func deleteTag(_ key: String, ofVersion number: Int, of name: ModelName) async throws {
        try await change("deleteVersionTag", name, number, detail: key) { $0.tags[key] = nil }
    }

    public func deleteVersion(_ number: Int, of name: ModelName) async throws {
        try await change("deleteVersion", name, detail: String(number)) { [self] record throws(StoreError) in
            guard record.versions.removeValue(forKey: number) != nil else { throw notFound("version \(number) of \(name)") }
            record.model.aliases = record.model.aliases.filter { $0.value != number }
        }
    }

    private func change<R: Sendable>(
        _ operation: String, _ name: ModelName, detail: String = "", _ body: @escaping @Sendable (inout ModelRecord) throws(StoreError) -> R
    ) async throws -> R {
        try await perform(operation, name.rawValue, detail: detail) { [self] state throws(StoreError) in
            guard var record = state.registered[name] else { throw notFound("registered model \(name)") }
            let result = try body(&record)
            record.model.lastUpdateTime = state.tick()
            state.registered[name] = record
            return result
        }
    }

    private func change(
        _ operation: String, _ name: ModelName, _ number: Int, detail: String, _ body: @escaping @Sendable (inout ModelVersion) -> Void
    ) async throws {
        try await change(operation, name, detail: "\(number) \(detail)") { [self] record throws(StoreError) in
            guard var version = record.versions[number] else { throw notFound("version \(number) of \(name)") }
            body(&version)
            record.versions[number] = version
        }
    }
}
