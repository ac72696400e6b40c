/// What a secondary's dialect will make of what is on a primary, before anything is copied.
public struct Assessment: Sendable, Hashable {
    /// What there is in scope: label to count.
    public var there: [String: Int] = [:]
    /// What will stand on the secondary in another form: label to count, the labels of `VerifySummary.converted`.
    public var converted: [String: Int] = [:]
    /// Runs by the limit that they go over.
    public var overLimit: [String: Int] = [:]
    /// What cannot be there at all, with its reason; the first 20.
    public var refused: [String] = []
    public var refusedCount = 0
    public var fileBytes: Int64 = 0
    public init() {}

    mutating func refuse(_ what: String) {
        refusedCount += 1
        if refused.count < 20 { refused.append(what) }
    }
}

/// Reads a whole primary, once, and asks no secondary.
public struct Assess<Primary: TrackingStore>: Sendable {
    private let primary: Primary
    private let dialect: Dialect
    private let scope: Scope
    private let stamp: Stamp
    private let retrying: Retrying
    private let board: ProgressBoard
    private let found = Locked(Assessment())

    /// - Parameter dialect: the secondary's.
    public init(
        primary: Primary, dialect: Dialect, configuration: MirrorConfiguration, board: ProgressBoard, clock: any ReplicationClock
    ) {
        self.primary = primary
        self.dialect = dialect
        self.board = board
        scope = configuration.scope
        stamp = Stamp(pair: configuration.pair, store: StoreIdentity("assessed"))
        retrying = Retrying(attempts: configuration.attempts, clock: clock, board: board)
    }

    /// - Throws: `StoreError`, `CancellationError`.
    public func run() async throws -> Assessment {
        board.update { $0.phase = "experiments" }
        let experiments = try await assessExperiments()
        board.update { $0.phase = "runs" }
        try await inGroups(experiments) { try await assessRuns(in: $0) }
        board.update { $0.phase = "models" }
        if primary.dialect.hasLoggedModels { try await inGroups(experiments) { try await assessLoggedModels(in: $0) } }
        try await assessRegisteredModels()
        return found.withLock { assessment in
            assessment.converted = assessment.converted.filter { $0.value > 0 }
            return assessment
        }
    }

    private func inGroups(_ experiments: [ExperimentID], _ body: ([ExperimentID]) async throws -> Void) async throws {
        try await primary.inGroups(experiments, atMost: 50, body) { id, error in
            found.withLock { $0.refuse("experiment \(id): what is in it cannot be read: \(error)") }
        }
    }

    private func note(_ label: String, _ count: Int = 1) { found.withLock { $0.there[label, default: 0] += count } }
    private func convert(_ label: String, _ count: Int = 1) { found.withLock { $0.converted[label, default: 0] += count } }
    private func isOver(_ label: String, _ isSo: Bool) {
        if isSo { found.withLock { $0.overLimit[label, default: 0] += 1 } }
    }

    private func assessExperiments() async throws -> [ExperimentID] {
        var ids: [ExperimentID] = []
        try await retrying.pages({ try await primary.experiments($0) }) { page in
            for experiment in page.elements where scope.contains(experiment) {
                ids.append(experiment.id)
                note("experiments")
                if let rule = dialect.experimentNames, rule.fitting(experiment.name) != experiment.name { convert("experiment names") }
                for tag in experiment.tags where tag.value.unicodeScalars.count > dialect.experimentTagValueLength {
                    found.withLock { $0.refuse("tag \(tag.key) of experiment \(experiment.name): too long for the secondary") }
                }
            }
        }
        return ids
    }

    // MARK: Runs

    private func assessRuns(in experiments: [ExperimentID]) async throws {
        let query = RunQuery(experiments: experiments, startedFrom: scope.since, startedBefore: scope.until, pageSize: 250)
        var pages = RunPages(primary, query, retrying)
        while let page = try await pages.next() {
            try await withThrowingTaskGroup(of: Void.self) { group in
                var rest = page.elements.filter { scope.contains($0) }[...]
                func addNext() {
                    guard let run = rest.popFirst() else { return }
                    group.addTask { try await WorkError.of { try await assess(run) } }
                }
                for _ in 0..<8 { addNext() }
                while try await group.next() != nil { addNext() }
            }
            board.update { $0.runsTotal += page.elements.count }
        }
    }

    private func assess(_ listed: Run) async throws {
        var run = listed
        // Only an answer for the run alone has its model inputs.
        if primary.dialect.hasLoggedModels, !primary.dialect.listsModelInputs, !dialect.hasLoggedModels {
            run.modelInputs = try await retrying { try await primary.run(run.id)?.modelInputs } ?? []
        }
        note("runs")
        note("params", run.params.count)
        note("metric names", run.latestMetrics.count)
        if let limits = dialect.runLimits { assess(run, limits) }
        if scope.artifacts { try await assessFiles(of: ArtifactOwner(.run(run.id), root: run.artifactURI)) }
    }

    private func assess(_ run: Run, _ limits: RunLimits) {
        // Every reference as if its counterpart were there: an id of the same length.
        let references = References.find(in: run.tags)
        var map = References.Map()
        for id in references.runs { map.runs[id] = RunID(String(id.rawValue.reversed()) + "0") }
        var image = RunImage(run, in: run.experiment, map, stamp: stamp)
        isOver("over \(limits.tags) tags", image.tags.count + 1 > limits.tags)
        isOver("over \(limits.params) params", image.params.count > limits.params)
        isOver("over \(limits.metricNames) metric names", run.latestMetrics.count > limits.metricNames)
        isOver("long values", !image.tags.allSatisfy(limits.fits) || !image.params.allSatisfy(limits.fits))
        let made = Run(id: run.id, experiment: run.experiment, name: run.name, tags: [])
        let overflow = Overflow(takenFrom: &image, metrics: run.latestMetrics.map(\.key), there: made, base: nil, dialect)
        if !overflow.isEmpty { convert("runs with an overflow document") }
        for (label, count) in overflow.counts { convert("\(label) in overflow documents", count) }
    }

    private func assessFiles(of owner: ArtifactOwner) async throws {
        let files: [ExactName: Int64]
        do { files = try await retrying { try await primary.listing(filesOf: owner) } } catch let error as StoreError
            where error.decision == .setAside
        {
            return found.withLock { $0.refuse("files of \(owner.id): they cannot be listed: \(error)") }
        }
        if !files.isEmpty { note("files", files.count) }
        found.withLock { $0.fileBytes += files.values.reduce(0, +) }
    }

    // MARK: Models

    private func assessLoggedModels(in experiments: [ExperimentID]) async throws {
        try await retrying.pages({ try await primary.loggedModels(in: experiments, $0) }) { page in
            for model in page.elements where scope.contains(model) {
                note("logged models")
                if !dialect.hasLoggedModels { convert("logged models as files of their runs") }
                guard scope.artifacts else { continue }
                try await WorkError.of { try await assessFiles(of: ArtifactOwner(.loggedModel(model.id), root: model.artifactURI)) }
            }
        }
    }

    private func assessRegisteredModels() async throws {
        try await retrying.pages({ try await primary.registeredModels($0) }) { page in
            for listed in page.elements where !listed.isPrompt && scope.contains(listed.name) {
                // A listing has no aliases on some servers.
                let model = try await retrying { try await primary.registeredModel(listed.name) } ?? listed
                note("registered models")
                let name = model.name.rawValue
                if let rule = dialect.modelNames, rule.fitting(name) != name { convert("names of registered models") }
                if !dialect.hasAliases { convert("aliases as tags of versions", model.aliases.count) }
                try await retrying.pages({ try await primary.versions(of: model.name, $0) }) { versions in
                    for version in versions.elements { assess(version) }
                }
            }
        }
    }

    private func assess(_ version: ModelVersion) {
        note("model versions")
        guard dialect.registersOwnFilesOnly else { return }
        let scheme = version.source.prefix { $0 != ":" }
        let isOwn = version.run != nil || version.loggedModel != nil || ["runs", "models", "mlflow-artifacts"].contains(scheme)
        if isOwn {
            convert("sources of versions")
        } else {
            found.withLock {
                $0.refuse(
                    "version \(version.number) of model \(version.model): its source \(scope.passage.mask.text(version.source)) is no file of a run or logged model"
                )
            }
        }
    }
}
