import Replication
import TestSupport

/// Compares two stores by their contents alone, as naively as can be: it knows stamps, and nothing else of mlmirror.
struct Oracle {
    private let here: FakeStore.Snapshot
    private let there: FakeStore.Snapshot
    private let pointsAreIdempotent: Bool
    private let mayHoldMore: Bool
    private(set) var findings: [String] = []
    /// Ids and artifact roots of the secondary, by what they stand for.
    private var original: [String: String] = [:]

    /// - Returns: what is lost, twice or different; empty when nothing is.
    /// - Parameter mayHoldMore: the daemon has lost its memory: what was removed meanwhile it takes for somebody else's, and leaves it.
    static func compare(_ primary: FakeStore, _ secondary: FakeStore, mayHoldMore: Bool) -> [String] {
        let there: FakeStore.Snapshot
        do {
            there = secondary.dialect.runLimits == nil ? secondary.snapshot : try Rejoined.whole(secondary.snapshot)
        } catch { return ["\(error)"] }
        var oracle = Oracle(
            here: primary.snapshot, there: there, pointsAreIdempotent: secondary.dialect.metricsAreIdempotent,
            mayHoldMore: mayHoldMore)
        oracle.run()
        return oracle.findings
    }

    private init(here: FakeStore.Snapshot, there: FakeStore.Snapshot, pointsAreIdempotent: Bool, mayHoldMore: Bool) {
        self.here = here
        self.there = there
        self.pointsAreIdempotent = pointsAreIdempotent
        self.mayHoldMore = mayHoldMore
    }

    private mutating func expect(_ isSo: Bool, _ what: @autoclosure () -> String) { if !isSo { findings.append(what()) } }
    private mutating func expectEqual<Value: Equatable>(_ a: Value, _ b: Value, _ what: @autoclosure () -> String) {
        if a != b { findings.append("\(what()): \(a), there \(b)") }
    }

    private mutating func expectTags(_ a: [Tag], _ b: [Tag], _ what: String) {
        let (here, there) = (own(a), own(b))
        expectEqual(here, mayHoldMore ? there.filter { here[$0.key] != nil } : there, what)
    }

    private mutating func run() {
        let (here, there) = (here, there)
        nothingElse(there.experiments.filter { $0.name != "Default" }, of: here.experiments, .experiment, id: \.id.rawValue, tags: \.tags)
        nothingElse(there.runs, of: here.runs, .run, id: \.run.id.rawValue, tags: \.run.tags)
        expect(
            Set(there.models.map(\.name)).isSubset(of: here.models.map(\.name)), "registered models of nobody: \(there.models.map(\.name))")
        let gone = Set(here.deletedLoggedModels.map(\.rawValue))
        nothingElse(
            there.loggedModels.filter { !gone.contains($0.tags[Stamp.idKey(.loggedModel)] ?? "") }, of: here.loggedModels, .loggedModel,
            id: \.id.rawValue, tags: \.tags)
        let experiments = pairs(here.experiments, there.experiments, .experiment, id: \.id.rawValue, tags: \.tags)
        let runs = pairs(here.runs, there.runs, .run, id: \.run.id.rawValue, tags: \.run.tags)
        let models = pairs(here.loggedModels, there.loggedModels, .loggedModel, id: \.id.rawValue, tags: \.tags)
        for (a, b) in experiments { original[b.artifactLocation] = a.artifactLocation }
        for (a, b) in runs {
            original[b.run.artifactURI] = a.run.artifactURI
            original[b.run.id.rawValue] = a.run.id.rawValue
        }
        for (a, b) in models {
            original[b.artifactURI] = a.artifactURI
            original[b.id.rawValue] = a.id.rawValue
        }
        for b in there.loggedModels {
            // Deleted on the primary, kept here.
            if let id = b.tags[Stamp.idKey(.loggedModel)] { original[b.id.rawValue] = id }
        }
        for (a, b) in experiments { compare(a, b) }
        let experimentOf = Dictionary(uniqueKeysWithValues: experiments.map { ($0.1.id, $0.0.id) })
        for (a, b) in runs {
            expectEqual(a.run.experiment, experimentOf[b.run.experiment], "experiment of run \(a.run.id)")
            compare(a, b)
        }
        for (a, b) in models {
            expectEqual(a.experiment, experimentOf[b.experiment], "experiment of logged model \(a.id)")
            compare(a, b)
        }
        for model in here.models { compare(model) }
    }

    /// Everything of the primary with its one copy.
    private mutating func pairs<Entity>(
        _ here: [Entity], _ there: [Entity], _ kind: EntityKey.Kind, id: (Entity) -> String, tags: (Entity) -> [Tag]
    ) -> [(Entity, Entity)] {
        var copies: [String: [Entity]] = [:]
        for entity in there { if let stamp = tags(entity)[Stamp.idKey(kind)] { copies[stamp, default: []].append(entity) } }
        var found: [(Entity, Entity)] = []
        for entity in here {
            let copies = copies[id(entity)] ?? []
            expect(copies.count == 1, "\(kind.rawValue) \(id(entity)) is there \(copies.count) times")
            if let copy = copies.first { found.append((entity, copy)) }
        }
        return found
    }

    /// Everything that is there is a copy of something: a copy whose stamp was lost is found here.
    private mutating func nothingElse<Entity>(
        _ there: [Entity], of here: [Entity], _ kind: EntityKey.Kind, id: (Entity) -> String, tags: (Entity) -> [Tag]
    ) {
        let known = Set(here.map(id))
        for entity in there where !known.contains(tags(entity)[Stamp.idKey(kind)] ?? "") {
            findings.append("\(kind.rawValue) \(id(entity)) of the secondary is nobody's copy")
        }
    }

    private mutating func compare(_ a: Experiment, _ b: Experiment) {
        let name = "experiment \(a.id)"
        expectEqual(a.name, b.name, "name of \(name)")
        expectEqual(a.lifecycle, b.lifecycle, "lifecycle of \(name)")
        // Of what it shares with others, it cannot tell its own tags without its memory.
        if !mayHoldMore || b.tags[Stamp.adoptedKey] == nil { expectTags(a.tags, b.tags, "tags of \(name)") }
    }

    private mutating func compare(_ a: FakeStore.Snapshot.RunContent, _ b: FakeStore.Snapshot.RunContent) {
        let name = "run \(a.run.id)"
        expectEqual(a.run.name, b.run.name, "name of \(name)")
        expectEqual(a.run.status, b.run.status, "status of \(name)")
        expectEqual(a.run.lifecycle, b.run.lifecycle, "lifecycle of \(name)")
        expectEqual(a.run.startTime, b.run.startTime, "start of \(name)")
        expectEqual(a.run.endTime, b.run.endTime, "end of \(name)")
        expectEqual(a.run.params, b.run.params, "params of \(name)")
        expectTags(a.run.tags, b.run.tags, "tags of \(name)")
        expectEqual(a.points, b.points, "points of \(name)")
        expect(pointsAreIdempotent || b.doubled == 0, "\(b.doubled) points of \(name) are there twice")
        expectEqual(Set(a.run.datasets), Set(b.run.datasets), "datasets of \(name)")
        let known = Set(here.loggedModels.map(\.id.rawValue))
        let isThere = { (model: String) in known.contains(model) }
        expectEqual(
            Set(a.run.modelInputs.map(\.rawValue).filter(isThere)), Set(b.run.modelInputs.map { originally($0.rawValue) }.filter(isThere)),
            "inputs of \(name)")
        expectEqual(
            Set(a.run.modelOutputs.filter { isThere($0.model.rawValue) }.map { "\($0.model) \($0.step)" }),
            Set(
                b.run.modelOutputs.map { "\(originally($0.model.rawValue)) \($0.step)" }.filter { isThere(String($0.prefix { $0 != " " })) }
            ),
            "outputs of \(name)")
        expectEqual(here.files[.run(a.run.id)] ?? [:], there.files[.run(b.run.id)] ?? [:], "files of \(name)")
    }

    private mutating func compare(_ a: LoggedModel, _ b: LoggedModel) {
        let name = "logged model \(a.id)"
        expectEqual(a.name, b.name, "name of \(name)")
        expectEqual(a.modelType, b.modelType, "type of \(name)")
        expectEqual(a.status, b.status, "status of \(name)")
        expectEqual(a.sourceRun?.rawValue, b.sourceRun.map { originally($0.rawValue) }, "source of \(name)")
        expectEqual(a.params, b.params, "params of \(name)")
        expectTags(a.tags, b.tags, "tags of \(name)")
        func text(_ metric: ModelMetric) -> String {
            "\(metric.key) \(metric.point.timestamp) \(metric.point.step) \(metric.point.value) \(originally(metric.run.rawValue))"
        }
        expectEqual(Set(a.metrics.map(text)), Set(b.metrics.map(text)), "metrics of \(name)")
        expectEqual(here.files[.loggedModel(a.id)] ?? [:], there.files[.loggedModel(b.id)] ?? [:], "files of \(name)")
    }

    private mutating func compare(_ a: RegisteredModel) {
        let name = "model \(a.name)"
        guard let b = there.models.first(where: { $0.name == a.name }) else { return expect(false, "\(name) is not there") }
        expectEqual(a.description, b.description, "description of \(name)")
        expectEqual(a.aliases, mayHoldMore ? b.aliases.filter { a.aliases[$0.key] != nil } : b.aliases, "aliases of \(name)")
        expectTags(a.tags, b.tags, "tags of \(name)")
        let here = here.versions[a.name] ?? []
        // What keeps a number of a deleted version stays until a higher version comes.
        let there = (there.versions[a.name] ?? []).filter { version in
            version.tags[Stamp.placeholderKey] == nil || here.contains { $0.number > version.number }
        }
        expectEqual(here.map(\.number), there.map(\.number), "versions of \(name)")
        for (a, b) in zip(here, there) where a.number == b.number {
            let name = "version \(a.number) of \(name)"
            expectEqual(a.source, originally(b.source), "source of \(name)")
            expectEqual(a.run?.rawValue, b.run.map { originally($0.rawValue) }, "run of \(name)")
            expectEqual(a.loggedModel?.rawValue, b.loggedModel.map { originally($0.rawValue) }, "logged model of \(name)")
            expectEqual(a.description, b.description, "description of \(name)")
            expectEqual(a.stage, b.stage, "stage of \(name)")
            expectTags(a.tags, b.tags, "tags of \(name)")
        }
    }

    /// Without mlmirror's own.
    private func own(_ tags: [Tag]) -> [String: String] {
        var own: [String: String] = [:]
        for tag in tags where !tag.key.hasPrefix(Stamp.prefix) && tag.key != "mlflow.modelVersions" { own[tag.key] = originally(tag.value) }
        return own
    }

    /// With the primary's ids and roots in the place of the secondary's.
    private func originally(_ text: String) -> String {
        if let whole = original[text] { return whole }
        guard text.count > 20 else { return text }
        var text = text
        // Longer ones first: a run's root has its experiment's in it.
        for (there, here) in original.sorted(by: { $0.key.utf8.count > $1.key.utf8.count }) where text.utf8.count >= there.utf8.count {
            if let range = text.firstRange(of: there) {
                text.replaceSubrange(range, with: here)
                if there.hasPrefix("mlflow-artifacts:") { break }
            }
        }
        return text
    }
}
