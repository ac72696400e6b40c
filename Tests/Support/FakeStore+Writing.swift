public import Replication

extension FakeStore {
    // MARK: - Experiments

    public func createExperiment(name: String, tags: [Tag]) async throws -> ExperimentID {
        try await perform("createExperiment", name, detail: Self.text(tags)) { [self] state throws(StoreError) in
            guard !name.isEmpty else { throw invalid("an experiment needs a name") }
            guard dialect.experimentNames?.fitting(name) ?? name == name else { throw invalid("the name \(name) is not taken") }
            guard tags.allSatisfy({ $0.value.utf16.count <= dialect.experimentTagValueLength }) else { throw invalid("a tag is too long") }
            guard !state.experiments.values.contains(where: { $0.name == name }) else { throw exists("experiment \(name)") }
            let id = ExperimentID(String(state.nextExperiment))
            state.nextExperiment += 1
            let now = state.tick()
            state.experiments[id] = Experiment(
                id: id, name: name, artifactLocation: "mlflow-artifacts:/\(id)", creationTime: now, lastUpdateTime: now,
                tags: tags.sorted { $0.key < $1.key })
            return id
        }
    }

    public func renameExperiment(_ id: ExperimentID, to name: String) async throws {
        try await perform("renameExperiment", id.rawValue, detail: name) { [self] state throws(StoreError) in
            guard dialect.renamesExperiments else { throw unsupported("renaming an experiment") }
            try active(id, in: state)
            guard !state.experiments.values.contains(where: { $0.name == name && $0.id != id }) else { throw exists("experiment \(name)") }
            state.experiments[id]?.name = name
            let now = state.tick()
            state.experiments[id]?.lastUpdateTime = now
        }
    }

    public func setTag(_ tag: Tag, ofExperiment id: ExperimentID) async throws {
        try await perform("setExperimentTag", id.rawValue, detail: Self.text([tag])) { [self] state throws(StoreError) in
            try active(id, in: state)
            state.experiments[id]?.tags[tag.key] = tag.value
        }
    }

    public func deleteTag(_ key: String, ofExperiment id: ExperimentID) async throws {
        try await perform("deleteExperimentTag", id.rawValue, detail: key) { [self] state throws(StoreError) in
            guard dialect.deletesExperimentTags else { throw unsupported("deleting a tag of an experiment") }
            try active(id, in: state)
            guard state.experiments[id]?.tags[key] != nil else { throw notFound("tag \(key) of experiment \(id)") }
            state.experiments[id]?.tags[key] = nil
        }
    }

    public func deleteExperiment(_ id: ExperimentID) async throws {
        try await perform("deleteExperiment", id.rawValue) { [self] state throws(StoreError) in
            guard state.experiments[id]?.lifecycle == .active else { throw notFound("active experiment \(id)") }
            setLifecycle(.deleted, of: id, in: &state)
        }
    }

    public func restoreExperiment(_ id: ExperimentID) async throws {
        try await perform("restoreExperiment", id.rawValue) { [self] state throws(StoreError) in
            guard state.experiments[id]?.lifecycle == .deleted else { throw notFound("deleted experiment \(id)") }
            setLifecycle(.active, of: id, in: &state)
        }
    }

    private func setLifecycle(_ lifecycle: Lifecycle, of id: ExperimentID, in state: inout State) {
        state.experiments[id]?.lifecycle = lifecycle
        let now = state.tick()
        state.experiments[id]?.lastUpdateTime = now
        for (run, record) in state.runs where record.run.experiment == id { state.runs[run]?.run.lifecycle = lifecycle }
    }

    private func active(_ id: ExperimentID, in state: State) throws(StoreError) {
        guard let experiment = state.experiments[id] else { throw notFound("experiment \(id)") }
        guard experiment.lifecycle == .active else { throw invalid("experiment \(id) must be active") }
    }

    // MARK: - Runs

    public func createRun(_ run: NewRun) async throws -> Run {
        try await perform("createRun", run.name, detail: Self.text(run.tags)) { [self] state throws(StoreError) in
            try active(run.experiment, in: state)
            let tagged = run.tags["mlflow.runName"]
            if let tagged, !run.name.isEmpty, tagged != run.name { throw invalid("two names for one run: \(run.name) and \(tagged)") }
            let id = RunID(freshID(&state))
            if let limits = dialect.runLimits {
                try limits.check(tags: run.tags.map { $0 } + [Tag("mlflow.runName", run.name)], name: run.name, self)
            }
            let name = run.name.isEmpty ? tagged ?? "unnamed-\(state.nextID)" : run.name
            var tags = run.tags
            tags["mlflow.runName"] = name
            let root = state.experiments[run.experiment]?.artifactLocation ?? ""
            let created = Run(
                id: id, experiment: run.experiment, name: name, userID: run.userID, startTime: run.startTime,
                artifactURI: "\(root)/\(id)/artifacts", tags: tags)
            state.runs[id] = RunRecord(run: created)
            _ = state.tick()
            return created
        }
    }

    public func updateRun(_ id: RunID, status: Run.Status?, endTime: Int64?, name: String?) async throws {
        try await perform("updateRun", id.rawValue, detail: status?.rawValue ?? "") { [self] state throws(StoreError) in
            try active(id, in: state)
            if let status { state.runs[id]?.run.status = status }
            if let endTime { state.runs[id]?.run.endTime = endTime }
            if let name, !name.isEmpty {
                state.runs[id]?.run.name = name
                state.runs[id]?.run.tags["mlflow.runName"] = name
            }
        }
    }

    public func logBatch(_ batch: RunBatch, toRun id: RunID) async throws {
        let detail = "\(batch.metrics.count) metrics, \(batch.params.count) params, \(batch.tags.count) tags"
        try await perform("logBatch", id.rawValue, detail: detail) { [self] state throws(StoreError) in
            guard batch.metrics.count <= dialect.batchMetrics, batch.params.count <= dialect.batchParams,
                batch.tags.count <= dialect.batchTags, batch.count <= dialect.batchItems
            else { throw invalid("the batch is over the limits: \(detail)") }
            try active(id, in: state)
            if let limits = dialect.runLimits, let run = state.runs[id]?.run { try limits.check(batch, run, self) }
            guard Set(batch.params.map(\.key)).count == batch.params.count else { throw invalid("one param twice in a batch") }
            guard batch.metrics.allSatisfy({ $0.point.timestamp >= 0 }) else { throw invalid("a timestamp below zero") }
            for param in batch.params {
                if let old = state.runs[id]?.run.params.first(where: { $0.key == param.key }) {
                    guard old.value == param.value else { throw invalid("changing param \(param.key) of run \(id) is not allowed") }
                } else {
                    state.runs[id]?.run.params.append(param)
                    state.runs[id]?.run.params.sort { $0.key < $1.key }
                }
            }
            for row in batch.metrics { log(row, toRun: id, in: &state) }
            for tag in batch.tags {
                state.runs[id]?.run.tags[tag.key] = tag.value
                if tag.key == "mlflow.runName" { state.runs[id]?.run.name = tag.value }
            }
            _ = state.tick()
        }
    }

    /// The SQL store keeps infinity as the largest double.
    private static func stored(_ value: Double) -> Double {
        value.isInfinite ? (value < 0 ? -Double.greatestFiniteMagnitude : .greatestFiniteMagnitude) : value
    }

    private func log(_ row: MetricRow, toRun id: RunID, in state: inout State) {
        let isNaN = row.point.value.isNaN
        let value = isNaN ? 0 : Self.stored(row.point.value)
        let key = PointKey(timestamp: row.point.timestamp, step: row.point.step, value: value, isNaN: isNaN)
        guard state.runs[id]?.history[row.key, default: []].insert(key).inserted == true else {
            state.runs[id]?.doubled += 1
            return
        }
        let point = MetricPoint(value: isNaN ? .nan : value, timestamp: key.timestamp, step: key.step)
        let latest = state.runs[id]?.run.latestMetrics.firstIndex { $0.key == row.key }
        guard let latest else {
            state.runs[id]?.run.latestMetrics.append(LatestMetric(key: row.key, point: point))
            state.runs[id]?.run.latestMetrics.sort { $0.key < $1.key }
            return
        }
        if let old = state.runs[id]?.run.latestMetrics[latest].point,
            (key.step, key.timestamp, value) > (old.step, old.timestamp, old.value.isNaN ? 0 : old.value)
        {
            state.runs[id]?.run.latestMetrics[latest].point = point
        }
    }

    public func deleteTag(_ key: String, ofRun id: RunID) async throws {
        try await perform("deleteRunTag", id.rawValue, detail: key) { [self] state throws(StoreError) in
            try active(id, in: state)
            guard state.runs[id]?.run.tags[key] != nil else { throw notFound("tag \(key) of run \(id)") }
            state.runs[id]?.run.tags[key] = nil
        }
    }

    public func logInputs(datasets: [DatasetInput], models: [LoggedModelID], toRun id: RunID) async throws {
        try await perform("logInputs", id.rawValue, detail: "\(datasets.count) datasets, \(models.count) models") {
            [self] state throws(StoreError) in
            guard models.isEmpty || dialect.hasLoggedModels else { throw unsupported("models as inputs") }
            try active(id, in: state)
            // A dataset is one thing per experiment, name and digest: the first to name it says what it is.
            let experiment = state.runs[id]?.run.experiment
            for var input in datasets {
                let known = state.runs.values.lazy.filter { $0.run.experiment == experiment }.flatMap(\.run.datasets)
                    .first { $0.name == input.name && $0.digest == input.digest }
                if let known {
                    (input.sourceType, input.source, input.schema, input.profile) =
                        (known.sourceType, known.source, known.schema, known.profile)
                }
                if state.runs[id]?.run.datasets.contains(where: { $0.name == input.name && $0.digest == input.digest }) != true {
                    state.runs[id]?.run.datasets.append(input)
                }
            }
            for model in models where state.runs[id]?.run.modelInputs.contains(model) != true {
                state.runs[id]?.run.modelInputs.append(model)
            }
        }
    }

    public func logOutputs(_ outputs: [ModelOutput], toRun id: RunID) async throws {
        try await perform("logOutputs", id.rawValue, detail: outputs.map(\.model.rawValue).joined(separator: ",")) {
            [self] state throws(StoreError) in
            guard dialect.hasLoggedModels else { throw unsupported("models as outputs") }
            try active(id, in: state)
            let known = Set(state.runs[id]?.run.modelOutputs.map(\.model) ?? [])
            if let twice = outputs.first(where: { known.contains($0.model) }) { throw exists("output \(twice.model) of run \(id)") }
            state.runs[id]?.run.modelOutputs += outputs
        }
    }

    public func deleteRun(_ id: RunID) async throws {
        try await perform("deleteRun", id.rawValue) { [self] state throws(StoreError) in
            guard state.runs[id] != nil else { throw notFound("run \(id)") }
            state.runs[id]?.run.lifecycle = .deleted
        }
    }

    public func restoreRun(_ id: RunID) async throws {
        try await perform("restoreRun", id.rawValue) { [self] state throws(StoreError) in
            guard state.runs[id] != nil else { throw notFound("run \(id)") }
            state.runs[id]?.run.lifecycle = .active
        }
    }

    func active(_ id: RunID, in state: State) throws(StoreError) {
        guard let record = state.runs[id] else { throw notFound("run \(id)") }
        guard record.run.lifecycle == .active else { throw invalid("run \(id) must be active") }
    }

    static func text(_ tags: [Tag]) -> String { tags.map { "\($0.key)=\($0.value)" }.joined(separator: " ") }

    // MARK: - Files

    public func writeArtifact(_ path: String, size: Int64, to owner: ArtifactOwner, _ bytes: ByteStream) async throws {
        var content: [UInt8] = []
        while let chunk = try await bytes.next() { content += chunk }
        let written = content
        try await perform("writeArtifact", path, detail: "\(size) bytes") { [self] state throws(StoreError) in
            guard Int64(written.count) == size else {
                throw StoreError(.retry(after: nil), .truncated, "\(name): \(written.count) bytes came for \(path), not \(size)")
            }
            guard state.files[owner.id]?.keys.contains(where: { $0.hasPrefix(path + "/") }) != true else {
                throw invalid("\(path) is a directory")
            }
            if let old = state.files[owner.id]?[path], old != written { state.hasReplacedFiles = true }
            state.files[owner.id, default: [:]][path] = written
        }
    }
}

extension RunLimits {
    fileprivate func check(tags: [Tag], name: String, _ store: FakeStore) throws(StoreError) {
        guard Set(tags.map(\.key)).count <= self.tags else { throw store.invalid("more than \(self.tags) tags") }
        if let tag = tags.first(where: { $0.key.utf16.count > tagKeyLength || $0.value.utf16.count > tagValueLength }) {
            throw store.invalid("tag \(tag.key) is too long")
        }
        guard name.utf16.count <= nameLength else { throw store.invalid("the name is too long") }
    }

    /// Nothing of a batch that goes beyond a limit is done.
    fileprivate func check(_ batch: RunBatch, _ run: Run, _ store: FakeStore) throws(StoreError) {
        try check(tags: run.tags + batch.tags, name: run.name, store)
        guard Set((run.params + batch.params).map(\.key)).count <= params else { throw store.invalid("more than \(params) params") }
        if let param = batch.params.first(where: { $0.key.utf16.count > paramKeyLength || $0.value.utf16.count > paramValueLength }) {
            throw store.invalid("param \(param.key) is too long")
        }
        let names = Set(run.latestMetrics.map(\.key) + batch.metrics.map(\.key))
        guard names.count <= metricNames else { throw store.invalid("more than \(metricNames) metrics") }
        if let name = names.first(where: { $0.utf16.count > metricNameLength }) { throw store.invalid("metric \(name) is too long") }
    }
}
