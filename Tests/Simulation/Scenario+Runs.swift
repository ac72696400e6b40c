import Replication
import TestSupport

extension Scenario {
    /// A first start, and one after a loss.
    static let starts = [
        Scenario("a first start with everything") { try await $0.everything() },
        Scenario("a first start, points appended", appendsPoints: true) { try await $0.openRun() },
        Scenario("everything while the state file is lost", losesState: true, before: { try await $0.everything() }) {
            try await $0.run(in: ExperimentID("0"), "new", points: 1)
        },
    ]

    static let runs = [
        Scenario("a new run") { try await $0.run(in: ExperimentID("0"), "a", points: 0, end: false) },
        Scenario("a run from beginning to end") { try await $0.run(in: ExperimentID("0"), "a", files: ["log.txt": "text"]) },
        Scenario("a run in a new experiment") { try await $0.openRun() },
        Scenario("a nested run that started before its parent") { work in
            let parent = try await work.run(in: ExperimentID("0"), "parent", start: 5000, points: 0)
            try await work.run(in: ExperimentID("0"), "child", parent: parent.id, start: 1000, points: 1)
        },
        Scenario("a parent set afterwards", before: { try await $0.openRun() }) { work in
            let parent = try await work.run(in: ExperimentID("0"), "parent", points: 0)
            try await work.store.logBatch(
                RunBatch(tags: [Tag("mlflow.parentRunId", parent.id.rawValue)]), toRun: try work.find("a").id)
        },
        Scenario("a run renamed", before: { try await $0.openRun() }) {
            try await $0.store.updateRun(try $0.find("a").id, status: nil, endTime: nil, name: "b")
        },
        Scenario("a run ended", before: { try await $0.openRun() }) {
            try await $0.store.updateRun(try $0.find("a").id, status: .failed, endTime: 9000, name: nil)
        },
        Scenario("a run deleted", before: { try await $0.openRun() }) { try await $0.store.deleteRun(try $0.find("a").id) },
        Scenario(
            "a run restored",
            before: {
                try await $0.openRun()
                try await $0.store.deleteRun(try $0.find("a").id)
            }
        ) { try await $0.store.restoreRun(try $0.find("a").id) },
        Scenario("points, then deleted", before: { try await $0.openRun() }) {
            try await $0.points("a", [(3, 3000, 7)])
            try await $0.store.deleteRun(try $0.find("a").id)
        },
        Scenario("a new run, deleted at once") { try await $0.store.deleteRun(try await $0.run(in: ExperimentID("0"), "a").id) },
        Scenario("tags set, changed, removed", before: { try await $0.openRun() }) { work in
            let id = try work.find("a").id
            try await work.store.logBatch(RunBatch(tags: [Tag("new", "1"), Tag("mlflow.user", "bob")]), toRun: id)
            try await work.store.deleteTag("new", ofRun: id)
        },
        Scenario(
            "a tag removed",
            before: {
                try await $0.openRun()
                try await $0.store.logBatch(RunBatch(tags: [Tag("old", "1")]), toRun: try $0.find("a").id)
            }
        ) { try await $0.store.deleteTag("old", ofRun: try $0.find("a").id) },
        Scenario("more params than a batch holds") { work in
            let run = try await work.run(in: ExperimentID("0"), "a", points: 0, end: false)
            try await work.store.logBatch(RunBatch(params: (0..<90).map { Param("p\($0)", "1") }), toRun: run.id)
            try await work.store.logBatch(RunBatch(params: (90..<130).map { Param("p\($0)", "1") }), toRun: run.id)
        },
        Scenario("a dataset", before: { try await $0.openRun() }) {
            let data = DatasetInput(
                name: "train", digest: "d1", sourceType: "local", source: "{}", schema: nil, tags: [Tag("mlflow.data.context", "training")])
            try await $0.store.logInputs(datasets: [data], models: [], toRun: try $0.find("a").id)
        },
        Scenario("two runs that name one another", before: { try await $0.openRun() }) { work in
            let b = try await work.run(in: ExperimentID("0"), "b", points: 0, tags: [Tag("best", "runs:/\(try work.find("a").id)/model")])
            try await work.store.logBatch(RunBatch(tags: [Tag("next", "runs:/\(b.id)/model")]), toRun: try work.find("a").id)
        },
    ]

    static let points =
        pointScenarios.map { Scenario($0.name, before: { try await $0.openRun() }, $0.change) }
        + pointScenarios.map { Scenario("\($0.name), appended", appendsPoints: true, before: { try await $0.openRun() }, $0.change) }

    private static let pointScenarios: [(name: String, change: @Sendable (Workload) async throws -> Void)] = [
        ("a growing series", { try await $0.points("a", [(1, 2000, 2), (2, 2001, 3)]) }),
        ("a second series", { try await $0.points("a", [(1, 2000, 0)], of: "accuracy") }),
        ("two values at one step", { try await $0.points("a", [(1, 2000, 5), (2, 2000, 5), (.nan, 2000, 5)]) }),
        ("a late point", { try await $0.points("a", [(8, 1, 0)]) }),
        ("values that are no numbers", { try await $0.points("a", [(.nan, 2000, 5), (.infinity, 2001, 6), (-.infinity, 2002, 7)]) }),
        (
            "more points than a batch holds",
            { work in
                try await work.points("a", (0..<900).map { (1, 2000 + Int64($0), Int64($0)) })
                try await work.points("a", (900..<1300).map { (1, 2000 + Int64($0), Int64($0)) })
            }
        ),
    ]
}
