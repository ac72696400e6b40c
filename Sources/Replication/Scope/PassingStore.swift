/// A store as it may be seen: without what is left out of its things, and with what is masked already masked.
///
/// Everything that reads the primary reads it through this, so that what must not pass is unknown to whoever writes the secondary, the state
/// file, a report or the journal.
public struct PassingStore<Base: TrackingStore>: Sendable {
    public let base: Base
    public let scope: Scope
    /// Names of tags and params come again and again.
    private let decisions = Locked(Decisions())

    public init(_ base: Base, _ scope: Scope) {
        self.base = base
        self.scope = scope
    }

    /// What is done with a value.
    private enum Fate: Sendable {
        case passes, isLeftOut
        case isMasked(Mask.Form)
    }
    private struct Decisions {
        var tags: [ExactName: Fate] = [:]
        var params: [ExactName: Fate] = [:]
        static var most: Int { 10_000 }
    }

    private var leaveOut: LeaveOut { scope.passage.leaveOut }
    private var mask: Mask { scope.passage.mask }

    private func fate(_ key: String, in list: WritableKeyPath<Decisions, [ExactName: Fate]>, _ decide: () -> Fate) -> Fate {
        let name = ExactName(key)
        if let known = decisions.withLock({ $0[keyPath: list][name] }) { return known }
        let fate = decide()
        decisions.withLock { decisions in
            if decisions[keyPath: list].count >= Decisions.most { decisions[keyPath: list] = [:] }
            decisions[keyPath: list][name] = fate
        }
        return fate
    }

    // MARK: Values

    func passed(_ tags: [Tag]) -> [Tag] {
        tags.compactMap { tag in
            let fate = fate(tag.key, in: \.tags) {
                if leaveOut.holds(tag: tag.key) { return .isLeftOut }
                return mask.form(ofTag: tag.key).map { .isMasked($0) } ?? .passes
            }
            switch fate {
            case .isLeftOut: return nil
            case .isMasked(let form): return mask.value(tag.value, form).map { Tag(tag.key, $0) }
            case .passes where Mask.userTags.contains(tag.key): return mask.user(tag.value).map { Tag(tag.key, $0) }
            case .passes: return LeaveOut.isOurs(tag.key) ? tag : Tag(tag.key, mask.text(tag.value))
            }
        }
    }

    /// A field that a tag repeats: what is said of the tag holds for it.
    private func passed(_ field: Tag, leavesOut: Bool) -> String {
        if !leavesOut, leaveOut.holds(tag: field.key) { return mask.text(field.value) }
        return field.value.isEmpty ? "" : passed([field]).first?.value ?? ""
    }

    func passed(_ params: [Param]) -> [Param] {
        params.compactMap { param in
            let fate = fate(param.key, in: \.params) {
                if leaveOut.holds(param: param.key) { return .isLeftOut }
                return mask.form(ofParam: param.key).map { .isMasked($0) } ?? .passes
            }
            switch fate {
            case .isLeftOut: return nil
            case .isMasked(let form): return mask.value(param.value, form).map { Param(param.key, $0) }
            case .passes: return Param(param.key, mask.text(param.value))
            }
        }
    }

    private func passed(_ dataset: DatasetInput) -> DatasetInput {
        var dataset = dataset
        dataset.name = mask.text(dataset.name)
        dataset.source = mask.text(dataset.source)
        dataset.schema = dataset.schema.map { mask.text($0) }
        dataset.profile = dataset.profile.map { mask.text($0) }
        dataset.tags = passed(dataset.tags)
        return dataset
    }

    // MARK: Things

    /// Its artifact location stays: by it the data base behind a server is known.
    func passed(_ experiment: Experiment) -> Experiment {
        var experiment = experiment
        experiment.isInScope = scope.experiments.matches(experiment.name)
        experiment.nameThere = mask.text(scope.renaming.experiment(experiment.name))
        experiment.name = mask.text(experiment.name)
        experiment.tags = passed(experiment.tags)
        return experiment
    }

    func passed(_ run: Run) -> Run {
        var run = run
        run.isInScope = scope.owners.matches(run.owner)
        run.name = passed(Tag("mlflow.runName", run.name), leavesOut: false)
        run.userID = passed(Tag("mlflow.user", run.userID), leavesOut: true)
        run.tags = passed(run.tags)
        run.params = passed(run.params)
        run.datasets = run.datasets.map { passed($0) }
        if !scope.carriesUnknownFields { run.unknown = [] }
        return run
    }

    func passed(_ model: LoggedModel) -> LoggedModel {
        var model = model
        model.isInScope = model.owner.map { scope.owners.matches($0) } ?? true
        model.statusMessage = model.statusMessage.map { mask.text($0) }
        model.tags = passed(model.tags)
        model.params = passed(model.params)
        if !scope.carriesUnknownFields { model.unknown = [] }
        for at in model.metrics.indices { model.metrics[at].datasetName = model.metrics[at].datasetName.map { mask.text($0) } }
        return model
    }

    func passed(_ model: RegisteredModel) -> RegisteredModel {
        var model = model
        model.description = mask.text(model.description)
        model.tags = passed(model.tags)
        return model
    }

    /// Its source stays: by it the files are found.
    func passed(_ version: ModelVersion) -> ModelVersion {
        var version = version
        version.userID = version.userID.map { mask.user($0) ?? "" }
        version.description = mask.text(version.description)
        version.runLink = version.runLink.map { mask.text($0) }
        version.tags = passed(version.tags)
        return version
    }

    func passed<Element>(_ page: Page<Element>, _ change: (Element) -> Element) -> Page<Element> {
        var page = page
        page.elements = page.elements.map(change)
        if !mask.isEmpty { for at in page.undecodable.indices { page.undecodable[at].reason = Self.silence } }
        return page
    }

    /// What the store says of a failure may hold what is masked: only what was asked of it is kept.
    func asking<Answer>(_ body: () async throws -> Answer) async throws -> Answer {
        do {
            return try await body()
        } catch let error as StoreError where !mask.isEmpty {
            let request = error.exchange.map { ", " + mask.text($0.request) } ?? ""
            throw StoreError(
                error.decision, error.reason, isInDoubt: error.isInDoubt, "\(name)\(request): \(error.reason.rawValue); \(Self.silence)",
                exchange: error.exchange.map { StoreExchange(request: mask.text($0.request), answer: Self.silence) })
        }
    }
    private static var silence: String { "its words are left out, for values are masked (scope.mask)" }
}

extension PassingStore: TrackingStore {
    public var name: String { base.name }
    public var dialect: Dialect { base.dialect }
    public var unknownFields: [String: Int] { base.unknownFields }
    public var unfinishedModels: Set<ModelName> { base.unfinishedModels }
    public func identity() async throws -> StoreIdentity { try await asking { try await base.identity() } }

    public func experiments(_ page: PageToken?) async throws -> Page<Experiment> {
        passed(try await asking { try await base.experiments(page) }) { passed($0) }
    }
    public func experiment(_ id: ExperimentID) async throws -> Experiment? {
        try await asking { try await base.experiment(id) }.map { passed($0) }
    }
    public func experiment(named name: String) async throws -> Experiment? {
        try await asking { try await base.experiment(named: name) }.map { passed($0) }
    }

    public func runs(_ query: RunQuery, _ page: PageToken?) async throws -> Page<Run> {
        passed(try await asking { try await base.runs(query, page) }) { passed($0) }
    }
    public func run(_ id: RunID) async throws -> Run? { try await asking { try await base.run(id) }.map { passed($0) } }

    public func history(of run: RunID, metric: String, _ receive: @Sendable ([MetricPoint]) async throws -> Void) async throws {
        try await asking { try await base.history(of: run, metric: metric, receive) }
    }
    public func histories(of runs: [RunID], metric: String) async throws -> [RunID: [MetricPoint]]? {
        try await asking { try await base.histories(of: runs, metric: metric) }
    }
    public func histories(of run: RunID, limit: Int) async throws -> [FieldDigest: [MetricPoint]]? {
        try await asking { try await base.histories(of: run, limit: limit) }
    }
    public func history(of run: RunID, metric: String, fromPlace place: Int, _ receive: @Sendable ([MetricPoint]) async throws -> Void)
        async throws -> Bool
    {
        try await asking { try await base.history(of: run, metric: metric, fromPlace: place, receive) }
    }
    public func history(of run: RunID, metric: String, since: Int64, _ receive: @Sendable ([MetricPoint]) async throws -> Void)
        async throws
    {
        try await asking { try await base.history(of: run, metric: metric, since: since, receive) }
    }

    public func loggedModels(in experiments: [ExperimentID], _ page: PageToken?) async throws -> Page<LoggedModel> {
        passed(try await asking { try await base.loggedModels(in: experiments, page) }) { passed($0) }
    }
    public func loggedModel(_ id: LoggedModelID) async throws -> LoggedModel? {
        try await asking { try await base.loggedModel(id) }.map { passed($0) }
    }
    public func newestLoggedModels(in experiments: [ExperimentID]) async throws -> [LoggedModel] {
        try await asking { try await base.newestLoggedModels(in: experiments) }.map { passed($0) }
    }

    public func loggedModels(in experiments: [ExperimentID], tagged tag: Tag) async throws -> [LoggedModel] {
        try await asking { try await base.loggedModels(in: experiments, tagged: tag) }.map { passed($0) }
    }

    public func registeredModels(_ page: PageToken?) async throws -> Page<RegisteredModel> {
        passed(try await asking { try await base.registeredModels(page) }) { passed($0) }
    }
    public func glance(atRegisteredModels page: PageToken?) async throws -> Page<RegisteredModel> {
        passed(try await asking { try await base.glance(atRegisteredModels: page) }) { passed($0) }
    }
    public func registeredModel(_ name: ModelName) async throws -> RegisteredModel? {
        try await asking { try await base.registeredModel(name) }.map { passed($0) }
    }
    public func versions(of model: ModelName, _ page: PageToken?) async throws -> Page<ModelVersion> {
        passed(try await asking { try await base.versions(of: model, page) }) { passed($0) }
    }
    public func version(of model: ModelName, _ number: Int) async throws -> ModelVersion? {
        try await asking { try await base.version(of: model, number) }.map { passed($0) }
    }

    public func uncopied(in experiments: [ExperimentID]) async throws -> [String: Int] {
        try await asking { try await base.uncopied(in: experiments) }
    }
    public func uncopiedModels() async throws -> [String: Int] { try await asking { try await base.uncopiedModels() } }

    public func artifacts(of owner: ArtifactOwner, under path: String, _ page: PageToken?) async throws -> Page<ArtifactEntry> {
        var listing = try await asking { try await base.artifacts(of: owner, under: path, page) }
        if !leaveOut.artifacts.isEmpty {
            listing.elements.removeAll { $0.isDirectory ? leaveOut.holds(folder: $0.path) : leaveOut.holds(file: $0.path) }
        }
        return listing
    }
    public func readArtifact<R: Sendable>(_ path: String, of owner: ArtifactOwner, _ read: @Sendable (ByteStream) async throws -> R)
        async throws -> R
    {
        try await asking { try await base.readArtifact(path, of: owner, read) }
    }
    public func copySource(_ path: String, of owner: ArtifactOwner) async throws -> ArtifactCopySource? {
        try await asking { try await base.copySource(path, of: owner) }
    }
}
