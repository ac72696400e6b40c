import Replication
import TestSupport

extension Scenario {
    static let experiments = [
        Scenario("a new experiment") { _ = try await $0.store.createExperiment(name: "sweep", tags: [Tag("team", "vision")]) },
        Scenario("an experiment renamed", before: { try await $0.openRun() }) {
            try await $0.store.renameExperiment(try $0.findExperiment("sweep"), to: "study")
        },
        Scenario("a name that moves on", before: { try await $0.openRun() }) {
            try await $0.store.renameExperiment(try $0.findExperiment("sweep"), to: "study")
            _ = try await $0.store.createExperiment(name: "sweep", tags: [])
        },
        Scenario(
            "two names exchanged",
            before: {
                try await $0.openRun()
                _ = try await $0.store.createExperiment(name: "study", tags: [])
            }
        ) {
            let (sweep, study) = (try $0.findExperiment("sweep"), try $0.findExperiment("study"))
            try await $0.store.renameExperiment(sweep, to: "between")
            try await $0.store.renameExperiment(study, to: "sweep")
            try await $0.store.renameExperiment(sweep, to: "study")
        },
        Scenario("an experiment's tags", before: { try await $0.openRun() }) {
            let id = try $0.findExperiment("sweep")
            try await $0.store.setTag(Tag("note", "text"), ofExperiment: id)
            try await $0.store.deleteTag("team", ofExperiment: id)
        },
        Scenario(
            "an experiment deleted",
            before: {
                try await $0.openRun()
                try await $0.run(in: try $0.findExperiment("sweep"), "b", points: 0)
                try await $0.store.deleteRun(try $0.find("b").id)
            }
        ) { try await $0.store.deleteExperiment(try $0.findExperiment("sweep")) },
        Scenario(
            "an experiment restored",
            before: {
                try await $0.openRun()
                try await $0.run(in: try $0.findExperiment("sweep"), "b", points: 0)
                try await $0.store.deleteExperiment(try $0.findExperiment("sweep"))
            }
        ) { try await $0.store.restoreExperiment(try $0.findExperiment("sweep")) },
        Scenario("a run, then its experiment deleted", before: { try await $0.openRun() }) {
            try await $0.run(in: try $0.findExperiment("sweep"), "b", points: 1, files: ["log.txt": "text"])
            try await $0.store.deleteExperiment(try $0.findExperiment("sweep"))
        },
    ]

    static let files = [
        Scenario("a file", before: { try await $0.openRun() }) { try await $0.write("folder/log.txt", "text", to: "a") },
        Scenario("an empty file", before: { try await $0.openRun() }) { try await $0.write("empty", "", to: "a") },
        Scenario("a large file", before: { try await $0.openRun() }) {
            try await $0.write("large", String(repeating: "0123456789", count: 200_000), to: "a")
        },
        Scenario(
            "a file that grew",
            before: {
                try await $0.openRun()
                try await $0.write("log.txt", "one", to: "a")
            }
        ) { try await $0.write("log.txt", "one and two", to: "a") },
        Scenario("files of a run that ends", before: { try await $0.openRun() }) {
            for number in 0..<3 { try await $0.write("folder/\(number)", "text \(number)", to: "a") }
            try await $0.store.updateRun(try $0.find("a").id, status: .finished, endTime: 9000, name: nil)
        },
    ]

    static let loggedModels = [
        Scenario("a logged model of a new run") { try await $0.modelOfRun() },
        Scenario("a logged model's tags", before: { try await $0.modelOfRun() }) {
            let id = try $0.findModel().id
            try await $0.store.setTags([Tag("new", "1")], ofLoggedModel: id)
            try await $0.store.deleteTag("k", ofLoggedModel: id)
        },
        Scenario("a logged model's metrics", before: { try await $0.modelOfRun() }) {
            let run = try $0.find("a").id
            let metric = ModelMetric(key: "acc", point: MetricPoint(value: 1, timestamp: 5000, step: 0), run: run)
            try await $0.store.logMetrics([metric], ofLoggedModel: try $0.findModel().id, toRun: run)
        },
        Scenario("a logged model as input", before: { try await $0.modelOfRun() }) {
            let run = try await $0.run(in: ExperimentID("0"), "b", points: 0)
            try await $0.store.logInputs(datasets: [], models: [try $0.findModel().id], toRun: run.id)
        },
    ]

    static let registry = [
        Scenario("a version of a new run") { try await $0.registered() },
        Scenario("a version of a new logged model") {
            try await $0.modelOfRun()
            try await $0.store.createRegisteredModel(ModelName("net"), description: "", tags: [])
            let model = try $0.findModel()
            _ = try await $0.store.createVersion(
                NewVersion(model: ModelName("net"), source: "models:/\(model.id)", run: model.sourceRun, loggedModel: model.id))
        },
        Scenario("a version of a known run", before: { try await $0.registered() }) { try await $0.version(of: "net", from: "a") },
        Scenario("versions with a gap", before: { try await $0.registered() }) {
            for _ in 4...6 { try await $0.version(of: "net", from: "a") }
            try await $0.store.deleteVersion(5, of: ModelName("net"))
        },
        Scenario("a model that begins with a gap") {
            try await $0.registered()
            for number in [1, 3] { try await $0.store.deleteVersion(number, of: ModelName("net")) }
        },
        Scenario("a version deleted", before: { try await $0.registered() }) { try await $0.store.deleteVersion(2, of: ModelName("net")) },
        Scenario("aliases moved and removed", before: { try await $0.registered() }) {
            try await $0.store.setAlias("champion", to: 3, ofRegisteredModel: ModelName("net"))
            try await $0.store.setAlias("challenger", to: 1, ofRegisteredModel: ModelName("net"))
        },
        Scenario("an alias removed", before: { try await $0.registered() }) {
            try await $0.store.deleteAlias("champion", ofRegisteredModel: ModelName("net"))
        },
        Scenario("a version's words", before: { try await $0.registered() }) {
            let net = ModelName("net")
            try await $0.store.setStage("Production", ofVersion: 1, of: net)
            try await $0.store.setTag(Tag("new", "1"), ofVersion: 1, of: net)
            try await $0.store.deleteTag("acc", ofVersion: 2, of: net)
            try await $0.store.setDescription("text", ofVersion: 3, of: net)
        },
        Scenario("a model's words", before: { try await $0.registered() }) {
            let net = ModelName("net")
            try await $0.store.setDescription("text", ofRegisteredModel: net)
            try await $0.store.setTag(Tag("new", "1"), ofRegisteredModel: net)
            try await $0.store.deleteTag("owner", ofRegisteredModel: net)
        },
    ]
}
