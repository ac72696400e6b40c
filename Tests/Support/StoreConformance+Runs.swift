public import Replication

extension StoreConformance {
    static let runCases = [
        Case(name: "run: made and read back") { store in
            let parent = try await experiment(store)
            let made = try await store.createRun(
                NewRun(experiment: parent, name: "ü run", userID: "someone", startTime: 1_700_000_000_123, tags: oddTags))
            let found = try unwrap(try await store.run(made.id))
            try equal(found.experiment, parent)
            try equal(found.name, "ü run")
            try equal(found.userID, "someone")
            try equal(found.startTime, 1_700_000_000_123)
            try equal(found.status, .running)
            try equal(found.endTime, nil)
            try equal(found.lifecycle, .active)
            try equal(sorted(found.tags.filter { $0.key != "mlflow.runName" }), sorted(oddTags))
            try equal(found.tags["mlflow.runName"], "ü run")
            try require(!found.artifactURI.isEmpty, "no artifact URI")
        },
        Case(name: "run: updated") { store in
            let made = try await run(store, in: try await experiment(store))
            try await store.updateRun(made.id, status: .failed, endTime: 2000, name: nil)
            try await store.updateRun(made.id, status: nil, endTime: nil, name: "other")
            let found = try unwrap(try await store.run(made.id))
            try equal(found.status, .failed)
            try equal(found.endTime, 2000)
            try equal(found.name, "other")
            try equal(found.tags["mlflow.runName"], "other")
            try await store.logBatch(RunBatch(tags: [Tag("mlflow.runName", "third")]), toRun: made.id)
            try equal(try await store.run(made.id)?.name, "third")
        },
        Case(name: "run: params and tags") { store in
            let id = try await run(store, in: try await experiment(store)).id
            let long = store.dialect.paramValueLength
            let params =
                oddTexts.enumerated().map { Param("param/\($0.offset)", $0.element) } + [Param("long", String(repeating: "ü", count: long))]
            try await store.logBatch(RunBatch(params: params, tags: oddTags), toRun: id)
            try await store.logBatch(RunBatch(params: params, tags: [Tag("odd.0", "changed")]), toRun: id)
            try await store.deleteTag("odd.1", ofRun: id)
            let found = try unwrap(try await store.run(id))
            try equal(sorted(found.params), sorted(params))
            try equal(found.tags["odd.0"], "changed")
            try equal(found.tags["odd.1"], nil)
            try equal(found.tags["odd.2"], oddTexts[2])
            try await refuses(.notFound) { try await store.deleteTag("odd.1", ofRun: id) }
            try await refuses(.invalid) { try await store.logBatch(RunBatch(params: [Param("long", "other")]), toRun: id) }
            try equal(try await store.run(id)?.params.first { $0.key == "long" }?.value.count, long)
        },
        Case(name: "run: unknown") { store in
            let id = RunID(String(repeating: "f", count: 32))
            try equal(try await store.run(id), nil)
            try await refuses(.notFound) { try await store.logBatch(RunBatch(tags: [Tag("a", "b")]), toRun: id) }
            try await refuses(.notFound) { try await store.updateRun(id, status: .finished, endTime: 1, name: nil) }
            try await refuses(.notFound) { try await store.deleteRun(id) }
            try await refuses(.notFound) { _ = try await run(store, in: ExperimentID("987654321")) }
        },
        Case(name: "run: deleted, refuses writes, restored") { store in
            let id = try await run(store, in: try await experiment(store)).id
            try await store.deleteRun(id)
            try equal(try await store.run(id)?.lifecycle, .deleted)
            try await refuses(.invalid) { try await store.logBatch(RunBatch(tags: [Tag("a", "b")]), toRun: id) }
            try await refuses(.invalid) { try await store.updateRun(id, status: .finished, endTime: 1, name: nil) }
            try await refuses(.invalid) { try await store.deleteTag("mlflow.runName", ofRun: id) }
            try await store.deleteRun(id)
            try await store.restoreRun(id)
            try await store.restoreRun(id)
            try equal(try await store.run(id)?.lifecycle, .active)
            try await store.logBatch(RunBatch(tags: [Tag("a", "b")]), toRun: id)
        },
        Case(name: "run: an experiment takes its runs along, restoring revives them all") { store in
            let parent = try await experiment(store)
            let kept = try await run(store, in: parent).id
            let gone = try await run(store, in: parent).id
            try await store.deleteRun(gone)
            try await store.deleteExperiment(parent)
            try equal(try await store.run(kept)?.lifecycle, .deleted)
            try await store.restoreExperiment(parent)
            try equal(try await store.run(kept)?.lifecycle, .active)
            try equal(try await store.run(gone)?.lifecycle, .active)
        },
        Case(name: "run: searched by start time and tag, in pages") { store in
            let parent = try await experiment(store)
            let other = try await experiment(store)
            var ids: [RunID] = []
            for start: Int64 in [30, 10, 20, 20, 40] {
                ids.append(try await run(store, in: parent, start: start, tags: [Tag("mlmirror.source", "it's \(start)")]).id)
            }
            let foreign = try await run(store, in: other, start: 15).id
            try await store.deleteRun(ids[1])
            let everything = try await all { try await store.runs(RunQuery(experiments: [parent], pageSize: 2), $0) }
            try equal(everything.map(\.startTime), [10, 20, 20, 30, 40])
            try equal(Set(everything.map(\.id)), Set(ids))
            try equal(everything.first?.lifecycle, .deleted)
            let both = try await all { try await store.runs(RunQuery(experiments: [parent, other]), $0) }
            try equal(both.map(\.id).contains(foreign), true)
            let window = RunQuery(experiments: [parent], startedFrom: 20, startedBefore: 40)
            try equal(try await all { try await store.runs(window, $0) }.map(\.startTime), [20, 20, 30])
            let tagged = RunQuery(experiments: [parent], startedFrom: 0, tag: Tag("mlmirror.source", "it's 20"))
            try equal(Set(try await all { try await store.runs(tagged, $0) }.map(\.id)), [ids[2], ids[3]])
            try equal(try await all { try await store.runs(RunQuery(experiments: []), $0) }, [])
        },
        Case(name: "run: inputs and outputs") { store in
            let parent = try await experiment(store)
            let id = try await run(store, in: parent).id
            let datasets = [
                DatasetInput(
                    name: "train ü", digest: "d1", sourceType: "http", source: "{\"url\":\"x\"}", schema: "{}", profile: "p\n",
                    tags: [Tag("mlflow.data.context", "training")]),
                DatasetInput(name: "test", digest: "d2", sourceType: "local", source: "s"),
            ]
            guard store.dialect.hasLoggedModels else {
                for _ in 0..<2 { try await store.logInputs(datasets: datasets, models: [], toRun: id) }
                let found = try unwrap(try await store.run(id))
                return try equal(found.datasets.sorted { $0.digest < $1.digest }, datasets)
            }
            let model = try await store.createLoggedModel(
                NewLoggedModel(experiment: parent, name: "m", modelType: nil, sourceRun: id, params: [], tags: []))
            try await store.logInputs(datasets: datasets, models: [model.id], toRun: id)
            try await store.logInputs(datasets: datasets, models: [model.id], toRun: id)
            try await store.logOutputs([ModelOutput(model: model.id, step: 7)], toRun: id)
            let found = try unwrap(try await store.run(id))
            try equal(found.datasets.sorted { $0.digest < $1.digest }, datasets)
            try equal(found.modelInputs, [model.id])
            try equal(found.modelOutputs, [ModelOutput(model: model.id, step: 7)])
            try await refuses(.alreadyExists) { try await store.logOutputs([ModelOutput(model: model.id, step: 7)], toRun: id) }
            // A listing has all but the model inputs.
            let listed = try unwrap(try await all { try await store.runs(RunQuery(experiments: [parent]), $0) }.first)
            try equal(listed.datasets.sorted { $0.digest < $1.digest }, datasets)
            try equal(listed.modelOutputs, [ModelOutput(model: model.id, step: 7)])
        },
    ]

    // MARK: - Metrics

    public static func history(_ store: any TrackingStore, _ run: RunID, _ metric: String) async throws -> [MetricPoint] {
        let points = Locked<[MetricPoint]>([])
        try await store.history(of: run, metric: metric) { chunk in points.withLock { $0 += chunk } }
        return points.withLock { $0 }
    }

    /// Comparable also with NaN.
    public static func text(_ points: [MetricPoint]) -> [String] { points.map { "\($0.timestamp) \($0.step) \($0.value)" } }

    /// A store that keeps rows as they come gives them so, twice what was sent twice.
    static func distinct(_ points: [MetricPoint], _ store: any TrackingStore) -> [MetricPoint] {
        guard !store.dialect.metricsAreIdempotent else { return points }
        let sorted = points.sorted { $0.precedesInHistory($1) }
        return sorted.indices.filter { $0 == 0 || !sorted[$0].isSameInHistory(as: sorted[$0 - 1]) }.map { sorted[$0] }
    }

    static func row(_ key: String, _ value: Double, _ timestamp: Int64, _ step: Int64) -> MetricRow {
        MetricRow(key: key, point: MetricPoint(value: value, timestamp: timestamp, step: step))
    }

    static let metricCases = [
        Case(name: "metric: ties, odd values, sent twice") { store in
            let id = try await run(store, in: try await experiment(store)).id
            let rows = [
                row("m", 0.1 + 0.2, 5, 1), row("m", Double.leastNonzeroMagnitude, 5, 2), row("m", -1.5, 5, 2), row("m", .nan, 4, 9),
                row("m", .greatestFiniteMagnitude, 3, -1), row("m", -0.0, Int64(1) << 53 + 1, 4), row("m", 1e23, 6, 1_000_000_007),
                row("other/name: x", 1, 1, 0),
            ]
            try await store.logBatch(RunBatch(metrics: rows), toRun: id)
            try await store.logBatch(RunBatch(metrics: rows.reversed()), toRun: id)
            let expected = [
                MetricPoint(value: .greatestFiniteMagnitude, timestamp: 3, step: -1), MetricPoint(value: .nan, timestamp: 4, step: 9),
                MetricPoint(value: 0.1 + 0.2, timestamp: 5, step: 1), MetricPoint(value: -1.5, timestamp: 5, step: 2),
                MetricPoint(value: Double.leastNonzeroMagnitude, timestamp: 5, step: 2),
                MetricPoint(value: 1e23, timestamp: 6, step: 1_000_000_007),
                MetricPoint(value: -0.0, timestamp: Int64(1) << 53 + 1, step: 4),
            ]
            let found = distinct(try await history(store, id, "m"), store)
            // The sign of a zero is not kept by every data base.
            try equal(text(found).map { $0.replacing("-0.0", with: "0.0") }, text(expected).map { $0.replacing("-0.0", with: "0.0") })
            try equal(distinct(try await history(store, id, "other/name: x"), store).count, 1)
            try equal(text(try await history(store, id, "none")), [])
            let latest = try unwrap(try await store.run(id)).latestMetrics.first { $0.key == "m" }
            try equal(latest?.point.step, 1_000_000_007)
            try await refuses(.invalid) { try await store.logBatch(RunBatch(metrics: [row("m", 1, -1, 0)]), toRun: id) }
        },
        Case(name: "metric: infinities become the largest doubles") { store in
            let id = try await run(store, in: try await experiment(store)).id
            try await store.logBatch(RunBatch(metrics: [row("m", .infinity, 1, 1), row("m", -.infinity, 1, 2)]), toRun: id)
            let found = try await history(store, id, "m").map(\.value)
            // A store that keeps rows as they come keeps these too.
            guard store.dialect.metricsAreIdempotent || found.allSatisfy(\.isFinite) else {
                return try equal(found, [.infinity, -.infinity])
            }
            try equal(found, [.greatestFiniteMagnitude, -.greatestFiniteMagnitude])
        },
        Case(name: "metric: the newest is by step, then time") { store in
            let id = try await run(store, in: try await experiment(store)).id
            try await store.logBatch(RunBatch(metrics: [row("m", 1, 100, 5), row("m", 2, 200, 4), row("m", 3, 50, 5)]), toRun: id)
            let latest = try unwrap(try await store.run(id)).latestMetrics.first { $0.key == "m" }
            try equal(latest?.point, MetricPoint(value: 1, timestamp: 100, step: 5))
        },
        Case(name: "metric: many points, in order") { store in
            let id = try await run(store, in: try await experiment(store)).id
            let size = Int64(store.dialect.batchMetrics)
            for start in stride(from: Int64(0), to: 3000, by: Int64.Stride(size)) {
                let rows = (start..<start + size).map { row("m", Double($0) / 7, ($0 * 7919) % 3000, $0) }
                try await store.logBatch(RunBatch(metrics: rows), toRun: id)
            }
            let found = distinct(try await history(store, id, "m"), store)
            try equal(found.count, 3000)
            try equal(found.map(\.timestamp), (0..<3000).map { Int64($0) })
            try require(found.allSatisfy { $0.value == Double($0.step) / 7 }, "values changed")
        },
        Case(name: "metric: several runs at once") { store in
            let parent = try await experiment(store)
            var ids: [RunID] = []
            for index in 0..<4 {
                let id = try await run(store, in: parent).id
                ids.append(id)
                if index < 3 {
                    try await store.logBatch(
                        RunBatch(metrics: (0...index).map { row("m", $0 == 0 ? .nan : Double($0), Int64(10 - $0), 0) }), toRun: id)
                }
            }
            try await store.deleteRun(ids[1])
            guard let found = try await store.histories(of: ids, metric: "m") else { return }
            for index in 0..<3 { try equal(text(found[ids[index]] ?? []), text(try await history(store, ids[index], "m")), "run \(index)") }
            try equal(found[ids[1]]?.count, 2, "a deleted run's points")
            try equal(found[ids[3]] ?? [], [])
        },
        Case(name: "metric: a batch over the limits is refused") { store in
            let id = try await run(store, in: try await experiment(store)).id
            let rows = (0..<store.dialect.batchMetrics + 1).map { row("m", 1, Int64($0), 0) }
            try await refuses(.invalid, .tooLarge) { try await store.logBatch(RunBatch(metrics: rows), toRun: id) }
            try equal(try await history(store, id, "m"), [])
        },
    ]
}
