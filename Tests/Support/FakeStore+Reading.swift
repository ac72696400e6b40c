public import Replication

extension FakeStore {
    public func identity() async throws -> StoreIdentity {
        try await read("identity", "") { _ throws(StoreError) in StoreIdentity("fake-\(self.name)") }
    }

    public func experiments(_ page: PageToken?) async throws -> Page<Experiment> {
        try await read("experiments", "") { [self] state throws(StoreError) in
            let all = state.experiments.values.sorted { Int($0.id.rawValue) ?? 0 < Int($1.id.rawValue) ?? 0 }
            var answer = try self.page(all, page)
            if state.pagesOverlap, let first = answer.elements.first, let at = all.firstIndex(where: { $0.id == first.id }), at > 0 {
                answer.elements.insert(all[at - 1], at: 0)
            }
            return answer
        }
    }

    public func experiment(_ id: ExperimentID) async throws -> Experiment? {
        try await read("experiment", id.rawValue) { state throws(StoreError) in state.experiments[id] }
    }

    public func experiment(named name: String) async throws -> Experiment? {
        try await read("experimentNamed", name) { state throws(StoreError) in state.experiments.values.first { $0.name == name } }
    }

    public func runs(_ query: RunQuery, _ page: PageToken?) async throws -> Page<Run> {
        try await read("runs", query.experiments.map(\.rawValue).joined(separator: ",")) { [self] state throws(StoreError) in
            let found = state.runs.values.map(\.run).filter { run in
                guard query.experiments.contains(run.experiment) else { return false }
                if let from = query.startedFrom, run.startTime < from { return false }
                if let before = query.startedBefore, run.startTime >= before { return false }
                if let tag = query.tag, run.tags[tag.key] != tag.value { return false }
                if query.isActive, run.lifecycle != .active || run.status != .running { return false }
                if let from = query.endedFrom, (run.endTime ?? .min) < from { return false }
                return true
            }
            return try self.page(found.sorted { ($0.startTime, $0.id) < ($1.startTime, $1.id) }, page, size: query.pageSize)
        }
    }

    public func run(_ id: RunID) async throws -> Run? {
        try await read("run", id.rawValue) { state throws(StoreError) in state.runs[id]?.run }
    }

    public func history(of run: RunID, metric: String, _ receive: @Sendable ([MetricPoint]) async throws -> Void) async throws {
        let points = try await read("history", "\(run) \(metric)") { state throws(StoreError) in Self.points(of: run, metric, in: state) }
        var rest = points[...]
        while !rest.isEmpty {
            try Task.checkCancellation()
            try await receive(Array(rest.prefix(1000)))
            rest = rest.dropFirst(1000)
        }
    }

    public func history(
        of run: RunID, metric: String, fromPlace place: Int, _ receive: @Sendable ([MetricPoint]) async throws -> Void
    ) async throws -> Bool {
        guard dialect.readsHistoryFromPlace else { return false }
        let points = try await read("historyFromPlace", "\(run) \(metric) \(place)") { state throws(StoreError) in
            Self.points(of: run, metric, in: state).dropFirst(place)
        }
        if !points.isEmpty { try await receive(Array(points)) }
        return true
    }

    public func history(
        of run: RunID, metric: String, since: Int64, _ receive: @Sendable ([MetricPoint]) async throws -> Void
    ) async throws {
        let points = try await read("historySince", "\(run) \(metric) \(since)") { state throws(StoreError) in
            Self.points(of: run, metric, in: state).filter { $0.timestamp >= since }
        }
        if !points.isEmpty { try await receive(points) }
    }

    public func histories(of runs: [RunID], metric: String) async throws -> [RunID: [MetricPoint]]? {
        let runs = Set(runs).sorted()
        return try await read("histories", "\(metric) of \(runs.count)") { [self] state throws(StoreError) in
            guard dialect.bulkHistoryRuns > 0 else { return nil }
            guard runs.count <= dialect.bulkHistoryRuns else { throw invalid("more than \(dialect.bulkHistoryRuns) runs in one call") }
            var answer: [RunID: [MetricPoint]] = [:]
            var room = dialect.bulkHistoryPoints
            for run in runs {
                let points = Self.points(of: run, metric, in: state)
                // A full answer may have cut its last run short, so that run is left out.
                guard points.count < room else { break }
                room -= points.count
                if !points.isEmpty { answer[run] = points }
            }
            return answer
        }
    }

    public func histories(of run: RunID, limit: Int) async throws -> [FieldDigest: [MetricPoint]]? {
        try await read("wholeRun", run.rawValue) { [self] state throws(StoreError) in
            let metrics = (state.runs[run]?.history ?? [:]).keys
            let histories = Dictionary(uniqueKeysWithValues: metrics.map { (FieldDigest($0), Self.points(of: run, $0, in: state)) })
            return dialect.readsWholeRuns && histories.values.reduce(0, { $0 + $1.count }) <= limit ? histories : nil
        }
    }

    private static func points(of run: RunID, _ metric: String, in state: State) -> [MetricPoint] {
        let keys = state.runs[run]?.history[metric] ?? []
        return keys.sorted { ($0.timestamp, $0.step, $0.value) < ($1.timestamp, $1.step, $1.value) }
            .map { MetricPoint(value: $0.isNaN ? .nan : $0.value, timestamp: $0.timestamp, step: $0.step) }
    }

    public func loggedModels(in experiments: [ExperimentID], _ page: PageToken?) async throws -> Page<LoggedModel> {
        try await read("loggedModels", experiments.map(\.rawValue).joined(separator: ",")) { [self] state throws(StoreError) in
            try self.page(Self.models(of: state, in: experiments), page)
        }
    }

    public func newestLoggedModels(in experiments: [ExperimentID]) async throws -> [LoggedModel] {
        try await read("loggedModels", experiments.map(\.rawValue).joined(separator: ",")) { [self] state throws(StoreError) in
            Array(Self.models(of: state, in: experiments).reversed().prefix(pageSize))
        }
    }

    public func loggedModel(_ id: LoggedModelID) async throws -> LoggedModel? {
        try await read("loggedModel", id.rawValue) { state throws(StoreError) in
            state.deletedLoggedModels.contains(id) ? nil : state.loggedModels[id]
        }
    }

    public func loggedModels(in experiments: [ExperimentID], tagged tag: Tag) async throws -> [LoggedModel] {
        try await read("loggedModelsTagged", "\(tag.key)=\(tag.value)") { state throws(StoreError) in
            Self.models(of: state, in: experiments).filter { $0.tags[tag.key] == tag.value }
        }
    }

    private static func models(of state: State, in experiments: [ExperimentID]) -> [LoggedModel] {
        state.loggedModels.values.filter { experiments.contains($0.experiment) && !state.deletedLoggedModels.contains($0.id) }
            .sorted { ($0.creationTime ?? 0, $0.id) < ($1.creationTime ?? 0, $1.id) }
    }

    public func registeredModels(_ page: PageToken?) async throws -> Page<RegisteredModel> {
        try await read("registeredModels", "") { [self] state throws(StoreError) in
            try self.page(state.registered.values.map(\.model).filter { !$0.isPrompt }.sorted { $0.name < $1.name }, page)
        }
    }

    public func registeredModel(_ name: ModelName) async throws -> RegisteredModel? {
        try await read("registeredModel", name.rawValue) { state throws(StoreError) in state.registered[name]?.model }
    }

    public func versions(of model: ModelName, _ page: PageToken?) async throws -> Page<ModelVersion> {
        try await read("versions", model.rawValue) { [self] state throws(StoreError) in
            let versions = state.registered[model]?.versions ?? [:]
            return try self.page(versions.values.sorted { $0.number < $1.number }, page)
        }
    }

    public func version(of model: ModelName, _ number: Int) async throws -> ModelVersion? {
        try await read("version", "\(model) \(number)") { state throws(StoreError) in state.registered[model]?.versions[number] }
    }

    public func uncopied(in experiments: [ExperimentID]) async throws -> [String: Int] {
        try await read("uncopied", "") { state throws(StoreError) in ["traces": experiments.reduce(0) { $0 + (state.traces[$1] ?? 0) }] }
    }

    public func uncopiedModels() async throws -> [String: Int] {
        try await read("uncopiedModels", "") { state throws(StoreError) in ["prompts": state.registered.values.count { $0.model.isPrompt }]
        }
    }

    public func artifacts(of owner: ArtifactOwner, under path: String, _ page: PageToken?) async throws -> Page<ArtifactEntry> {
        try await read("artifacts", path) { [self] state throws(StoreError) in
            var entries: [String: ArtifactEntry] = [:]
            let prefix = path.isEmpty ? "" : path + "/"
            for (file, bytes) in state.files[owner.id] ?? [:] where file.hasPrefix(prefix) {
                let rest = file.dropFirst(prefix.count)
                let child = prefix + rest.prefix { $0 != "/" }
                let isDirectory = rest.contains("/")
                entries[child] = ArtifactEntry(path: child, isDirectory: isDirectory, size: isDirectory ? nil : Int64(bytes.count))
            }
            return try self.page(entries.values.sorted { $0.path < $1.path }, page)
        }
    }

    public func readArtifact<R: Sendable>(
        _ path: String, of owner: ArtifactOwner, _ read: @Sendable (ByteStream) async throws -> R
    ) async throws -> R {
        let bytes = try await self.read("readArtifact", path) { [self] state throws(StoreError) in
            guard let bytes = state.files[owner.id]?[path] else { throw self.notFound("file \(path)") }
            return bytes
        }
        let cursor = ByteCursor(bytes)
        return try await read(ByteStream { cursor.next() })
    }
}
