public import Replication

/// What every `WritableStore` has to do, so that the store in memory and the real server are held to one behaviour.
///
/// Each case makes its own things under fresh names; cases may run side by side on one store.
public enum StoreConformance {
    public struct Case: Sendable, CustomStringConvertible {
        public var name: String
        public var run: @Sendable (any WritableStore) async throws -> Void
        public var description: String { name }
    }

    public struct Failure: Error, CustomStringConvertible {
        public var description: String
    }

    public static let cases: [Case] = experimentCases + runCases + metricCases + modelCases + registryCases + artifactCases

    public static func fresh(_ prefix: String) -> String { "\(prefix)-\(String(UInt64.random(in: 0...UInt64.max), radix: 36))" }

    static func require(_ condition: Bool, _ what: @autoclosure () -> String, line: Int = #line, file: String = #fileID) throws {
        if !condition { throw Failure(description: "\(file):\(line): \(what())") }
    }

    static func equal<T: Equatable>(_ a: T, _ b: T, _ what: String = "", line: Int = #line, file: String = #fileID) throws {
        if a != b { throw Failure(description: "\(file):\(line): \(what) \(a) is not \(b)") }
    }

    static func unwrap<T>(_ value: T?, _ what: String = "a value", line: Int = #line, file: String = #fileID) throws -> T {
        guard let value else { throw Failure(description: "\(file):\(line): \(what) is missing") }
        return value
    }

    /// The body has to fail with one of these reasons.
    static func refuses(
        _ reasons: StoreError.Reason..., line: Int = #line, file: String = #fileID, _ body: () async throws -> Void
    ) async throws {
        do {
            try await body()
        } catch let error as StoreError {
            if reasons.contains(error.reason) { return }
            throw Failure(description: "\(file):\(line): \(error.reason) instead of \(reasons): \(error)")
        }
        throw Failure(description: "\(file):\(line): no failure")
    }

    public static func all<T>(_ next: (PageToken?) async throws -> Page<T>) async throws -> [T] {
        var found: [T] = []
        var token: PageToken?
        var pages = 0
        repeat {
            let page = try await next(token)
            try require(page.undecodable.isEmpty, "undecodable: \(page.undecodable)")
            found += page.elements
            token = page.next
            pages += 1
            try require(pages < 10000, "the pages do not end")
        } while token != nil
        return found
    }

    static func experiment(_ store: any WritableStore) async throws -> ExperimentID {
        try await store.createExperiment(name: fresh("conformance"), tags: [])
    }

    static func run(_ store: any WritableStore, in experiment: ExperimentID, start: Int64 = 1000, tags: [Tag] = []) async throws -> Run {
        try await store.createRun(NewRun(experiment: experiment, name: fresh("run"), userID: "tester", startTime: start, tags: tags))
    }

    /// What a version can be made of: files of the store's own where it takes no others.
    static func files(_ store: any WritableStore, _ other: String) async throws -> (source: String, run: RunID?) {
        guard store.dialect.registersOwnFilesOnly else { return (other, nil) }
        let source = try await run(store, in: try await experiment(store))
        try await write(store, "model/MLmodel", Array("flavors: {}".utf8), owner(source))
        return ("\(source.artifactURI)/model", source.id)
    }

    static func loggedModelsAreUnsupported(_ store: any WritableStore) async throws {
        let parent = try await experiment(store)
        try await refuses(.unsupported) {
            _ = try await store.createLoggedModel(
                NewLoggedModel(experiment: parent, name: "m", modelType: nil, sourceRun: nil, params: [], tags: []))
        }
    }

    /// Texts that have to come back as they were.
    static let oddTexts = [
        "", " ", "a\"b\\c\n\t\r", "ü 日本語 🦊 e\u{301}", "</script>&amp;%20", "'single' `tick`", "\u{1}\u{1f}\u{7f}", "null", "0.10",
    ]

    static let oddTags = oddTexts.enumerated().map { Tag("odd.\($0.offset)", $0.element) }

    static func sorted(_ tags: [Tag]) -> [Tag] { tags.sorted { $0.key < $1.key } }
    static func sorted(_ params: [Param]) -> [Param] { params.sorted { $0.key < $1.key } }

    // MARK: - Experiments

    static let experimentCases = [
        Case(name: "experiment: made, found, tagged, renamed") { store in
            let odd = fresh("conformance ü '\"")
            let name = store.dialect.experimentNames?.fitting(odd) ?? odd
            let id = try await store.createExperiment(name: name, tags: oddTags)
            let made = try unwrap(try await store.experiment(id))
            try equal(made.name, name)
            try equal(made.lifecycle, .active)
            try equal(sorted(made.tags), sorted(oddTags))
            try equal(try await store.experiment(named: name)?.id, id)
            try await refuses(.alreadyExists) { _ = try await store.createExperiment(name: name, tags: []) }

            let renamed = fresh("renamed")
            if store.dialect.renamesExperiments {
                try await store.renameExperiment(id, to: renamed)
                try equal(try await store.experiment(named: renamed)?.id, id)
                try equal(try await store.experiment(named: name)?.id, nil)
            } else {
                try await refuses(.unsupported) { try await store.renameExperiment(id, to: renamed) }
            }

            try await store.setTag(Tag("odd.1", "new"), ofExperiment: id)
            try await store.setTag(Tag("another", "x"), ofExperiment: id)
            guard store.dialect.deletesExperimentTags else {
                return try await refuses(.unsupported) { try await store.deleteTag("odd.2", ofExperiment: id) }
            }
            try await store.deleteTag("odd.2", ofExperiment: id)
            let tags = try unwrap(try await store.experiment(id)).tags
            try equal(tags["odd.1"], "new")
            try equal(tags["another"], "x")
            try equal(tags["odd.2"], nil)
            try await refuses(.notFound) { try await store.deleteTag("odd.2", ofExperiment: id) }
        },
        Case(name: "experiment: unknown") { store in
            try equal(try await store.experiment(ExperimentID("987654321")), nil)
            try equal(try await store.experiment(named: fresh("nobody's")), nil)
            try await refuses(.notFound) { try await store.deleteExperiment(ExperimentID("987654321")) }
            try await refuses(.notFound) { try await store.setTag(Tag("a", "b"), ofExperiment: ExperimentID("987654321")) }
        },
        Case(name: "experiment: deleted and restored") { store in
            let name = fresh("conformance")
            let id = try await store.createExperiment(name: name, tags: [])
            try await store.deleteExperiment(id)
            try equal(try await store.experiment(id)?.lifecycle, .deleted)
            try equal(try await store.experiment(named: name)?.id, id)
            try await refuses(.notFound) { try await store.deleteExperiment(id) }
            try await refuses(.invalid) { try await store.setTag(Tag("a", "b"), ofExperiment: id) }
            try await refuses(.invalid) { _ = try await run(store, in: id) }
            try await refuses(.alreadyExists) { _ = try await store.createExperiment(name: name, tags: []) }
            try await store.restoreExperiment(id)
            try equal(try await store.experiment(id)?.lifecycle, .active)
            try await refuses(.notFound) { try await store.restoreExperiment(id) }
        },
        Case(name: "experiment: listed, deleted ones too") { store in
            var made: [ExperimentID] = []
            for _ in 0..<5 { made.append(try await experiment(store)) }
            try await store.deleteExperiment(made[2])
            let listed = try await all { try await store.experiments($0) }
            try equal(made.filter { id in listed.contains { $0.id == id } }, made)
            try equal(listed.first { $0.id == made[2] }?.lifecycle, .deleted)
            try equal(Set(listed.map(\.id)).count, listed.count, "every experiment once")
        },
        Case(name: "identity: stays") { store in
            let first = try await store.identity()
            _ = try await experiment(store)
            try equal(try await store.identity(), first)
        },
        Case(name: "a cancelled task sends nothing") { store in
            let name = fresh("never")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.cancelAll()
                group.addTask { _ = try await store.createExperiment(name: name, tags: []) }
                do {
                    try await group.waitForAll()
                    throw Failure(description: "no cancellation")
                } catch is CancellationError {}
            }
            try equal(try await store.experiment(named: name), nil)
        },
    ]
}
