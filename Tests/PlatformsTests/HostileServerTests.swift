import Curl
import Foundation
import Platforms
import Replication
import TestSupport
import Testing

/// What a server answers to each request.
struct Script: Sendable {
    let answer: @Sendable (RawRequest, RawConnection) throws -> Void
    init(_ answer: @escaping @Sendable (RawRequest, RawConnection) throws -> Void) { self.answer = answer }
}

/// Runs `body` with a store on a server that answers as the script says.
func withStore(
    dialect: Dialect = .mlflow, _ script: Script,
    _ body: (MLflowStore, RawServer) async throws -> Void
) async throws {
    let server = try RawServer { connection in
        while true { try script.answer(try connection.readRequest(), connection) }
    }
    var configuration = HTTPClientConfiguration()
    configuration.proxy = .none
    let client = HTTPClient(configuration)
    defer {
        client.shutdown()
        server.stop()
    }
    let endpoint = try MLflowEndpoint(uri: server.url, credentials: .basic(username: "canary-user", password: "canary-secret"))
    try await body(MLflowStore(endpoint, client: client, dialect: dialect), server)
}

func expectFailure<R>(
    _ reason: StoreError.Reason, isInDoubt: Bool = false, sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> R
) async {
    do {
        _ = try await body()
        Issue.record("no failure", sourceLocation: sourceLocation)
    } catch let error as StoreError {
        #expect(error.reason == reason && error.isInDoubt == isInDoubt, "\(error.reason) \(error)", sourceLocation: sourceLocation)
        #expect(!error.message.contains("canary"), "\(error)", sourceLocation: sourceLocation)
    } catch {
        Issue.record("another error: \(error)", sourceLocation: sourceLocation)
    }
}

extension RawConnection {
    func json(_ text: String, _ status: Int = 200) throws { try answer(status, ["Content-Type: application/json"], body: Array(text.utf8)) }
}

@Suite struct HostileServerTests {
    private static func run(_ id: String, _ start: Int = 0) -> String {
        "{\"info\":{\"run_id\":\"\(id)\",\"experiment_id\":\"1\",\"status\":\"RUNNING\",\"start_time\":\"\(start)\",\"lifecycle_stage\":\"active\"}}"
    }
    @Test func aNewerServersFieldsAreCounted() async throws {
        let run = Self.run("a").replacing("\"status\"", with: "\"mood\":\"fine\",\"none\":null,\"status\"")
        let script = Script { request, connection in
            if request.target.contains("registered-models/search") {
                return try connection.json("{\"registered_models\":[{\"name\":\"m\",\"flavour\":{\"a\":[1]}}]}")
            }
            try connection.json("{\"runs\":[\(run),\(Self.run("b"))],\"newer\":1}")
        }
        try await withStore(script) { store, _ in
            #expect(store.unknownFields.isEmpty)
            #expect(try await store.runs(query, nil).elements.map(\.id.rawValue) == ["a", "b"])
            _ = try await store.registeredModels(nil)
            #expect(store.unknownFields == ["runs.info.mood": 1, "registered_models.flavour": 1])
        }
    }

    @Test func aNewerServersFieldsAreCarriedInOneForm() async throws {
        let large = String(repeating: "x", count: 70_000)
        let extra = "\"mood\": {\"b\": [1, NaN , \"\\u00e9\"], \"a\":{}},\"large\":\"\(large)\",\"none\":null,"
        let run = Self.run("a").replacing("\"status\"", with: extra + "\"status\"")
        let script = Script { request, connection in
            try connection.json(request.target.contains("runs/get") ? "{\"run\":\(run)}" : "{\"runs\":[\(run),\(Self.run("b"))]}")
        }
        try await withStore(script) { plain, _ in
            let listed = try await plain.runs(query, nil).elements
            #expect(listed.allSatisfy { $0.unknown.isEmpty })
            var carrying = plain
            carrying.carriesUnknownFields = true
            let store = carrying
            let expected = [
                UnknownField(path: "info.large", json: nil),
                UnknownField(path: "info.mood", json: "{\"a\":{},\"b\":[1,\"NaN\",\"\\u00e9\"]}"),
            ]
            let carried = try await store.runs(query, nil).elements.map(\.unknown)
            #expect(carried == [expected, []])
            let read = try await store.run(RunID("a"))?.unknown
            #expect(read == expected)
            #expect(store.unknownFields["runs.info.mood"] == 2)
        }
    }

    private let query = RunQuery(experiments: [ExperimentID("1")], pageSize: 4)

    @Test(
        arguments: [
            ("{\"info\":{\"run_id\":\"bad\",\"experiment_id\":\"1\",\"status\":\"SLEEPING\"}}", "bad"),
            ("{\"info\":{\"run_id\":\"bad\",\"experiment_id\":\"1\",\"start_time\":\"soon\"}}", "bad"),
            ("{\"info\":{\"run_id\":\"bad\",\"experiment_id\":\"1\",\"lifecycle_stage\":\"undead\"}}", "bad"),
            ("{\"info\":{\"run_id\":\"bad\"}}", "bad"),
            ("{\"info\":{}}", nil),
            ("7", nil),
            ("{\"info\":{\"run_id\":\"bad\",\"run_name\":\"\\ud800\",\"experiment_id\":\"1\"}}", "bad"),
            (
                "{\"info\":{\"run_id\":\"bad\",\"experiment_id\":\"1\"},\"data\":\(String(repeating: "[", count: 5000))\(String(repeating: "]", count: 5000))}",
                "bad"
            ),
        ] as [(String, String?)]) func oneBadEntityIsSetAside(_ bad: String, _ id: String?) async throws
    {
        let body = "{\"runs\":[\(Self.run("a")),\(bad),\(Self.run("b"))],\"next_page_token\":\"t\"}"
        try await withStore(Script { _, connection in try connection.json(body) }) { store, server in
            let page = try await store.runs(query, nil)
            #expect(page.elements.map(\.id.rawValue) == ["a", "b"])
            #expect(page.undecodable.map(\.id) == [id] && page.undecodable.first?.kind == .run)
            #expect(page.next?.rawValue == "t")
            #expect(server.requests.count == 1)
        }
    }

    @Test func bareNaNIsRead() async throws {
        let run =
            "{\"info\":{\"run_id\":\"a\",\"experiment_id\":\"1\"},\"data\":{\"metrics\":[{\"key\":\"m\",\"value\":NaN,\"timestamp\":\"5\",\"step\":1}]}}"
        try await withStore(Script { _, connection in try connection.json("{\"runs\":[\(run)]}") }) { store, _ in
            let metric = try #require(try await store.runs(query, nil).elements.first?.latestMetrics.first)
            #expect(metric.point.value.isNaN && metric.point.timestamp == 5)
        }
    }

    /// The third of four runs breaks the quoting of its page: asked for in halves, the other three are read.
    @Test func aPageThatIsNoJSONIsHalved() async throws {
        let runs = [Self.run("a"), Self.run("b"), "{\"info\":{\"run_id\":\"c\",\"x\":\"un\"closed}}", Self.run("d")]
        try await withStore(
            Script { request, connection in
                struct Ask: Decodable { var maxResults: Int, pageToken: String? }
                let decoder = JSONDecoder()
                decoder.keyDecodingStrategy = .convertFromSnakeCase
                let ask = try decoder.decode(Ask.self, from: Data(request.body))
                let start = Int(ask.pageToken ?? "0") ?? 0
                let end = min(start + ask.maxResults, runs.count)
                let token = end < runs.count ? ",\"next_page_token\":\"\(end)\"" : ""
                try connection.json("{\"runs\":[\(runs[start..<end].joined(separator: ","))]\(token)}")
            }
        ) { store, _ in
            let page = try await store.runs(query, nil)
            #expect(page.elements.map(\.id.rawValue) == ["a", "b", "d"])
            #expect(page.undecodable.count == 1 && page.next == nil)
        }
    }

    @Test func aPageThatNamesItselfAsNextEnds() async throws {
        try await withStore(Script { _, connection in try connection.json("{\"runs\":[\(Self.run("a"))],\"next_page_token\":\"t\"}") }) {
            store, _ in
            await expectFailure(.malformed) { try await store.runs(query, PageToken(rawValue: "t")) }
        }
        try await withStore(Script { _, connection in try connection.json("{\"metrics\":[{\"step\":1}],\"next_page_token\":\"t\"}") }) {
            store, _ in
            await expectFailure(.malformed) { try await store.history(of: RunID("r"), metric: "m") { _ in } }
        }
        try await withStore(Script { _, connection in try connection.json("{\"files\":[],\"next_page_token\":\"t\"}") }) { store, _ in
            let owner = ArtifactOwner(.run(RunID("r")), root: "mlflow-artifacts:/1/r/artifacts")
            await expectFailure(.malformed) { try await store.artifacts(of: owner, under: "", PageToken(rawValue: "t")) }
        }
    }

    @Test(arguments: ["{\"runs\":[{\"info\":{\"run_id\":\"a\"", "{\"runs\":[", "{\"runs\":["]) func aPageCutShortIsNoEmptyPage(
        _ body: String
    ) async throws {
        try await withStore(Script { _, connection in try connection.json(body) }) { store, _ in
            await expectFailure(.truncated) { try await store.runs(query, nil) }
        }
    }

    @Test func aWebPageIsNoStore() async throws {
        let page = Array("<html><form action=login>".utf8)
        try await withStore(Script { _, connection in try connection.answer(200, ["Content-Type: text/html"], body: page) }) {
            store, server in
            await expectFailure(.notMLflow) { try await store.experiments(nil) }
            await expectFailure(.notMLflow) { try await store.run(RunID("r")) }
            await expectFailure(.notMLflow) { try await store.history(of: RunID("r"), metric: "m") { _ in } }
            await expectFailure(.notMLflow, isInDoubt: true) { try await store.deleteRun(RunID("r")) }
            let owner = ArtifactOwner(.run(RunID("r")), root: "mlflow-artifacts:/1/r/artifacts")
            await expectFailure(.notMLflow) { try await StoreConformance.read(store, "a", owner) }
            #expect(server.requests.count == 5)
        }
    }

    /// Nothing is sent twice, whatever the answer; a create whose answer cannot be read is in doubt.
    @Test func aWriteIsSentOnce() async throws {
        for (status, body, reason) in [
            (500, "{}", StoreError.Reason.serverFailure), (502, "", .serverFailure), (200, "{\"run\":{}}", .malformed),
            (200, "", .malformed),
        ] {
            try await withStore(Script { _, connection in try connection.json(body, status) }) { store, server in
                await expectFailure(reason, isInDoubt: true) {
                    try await store.createRun(NewRun(experiment: ExperimentID("1"), name: "n", userID: "u", startTime: 1, tags: []))
                }
                #expect(server.requests.count == 1)
            }
        }
        try await withStore(Script { _, connection in throw CancellationError() }) { store, server in
            await expectFailure(.unreachable, isInDoubt: true) { try await store.deleteRun(RunID("r")) }
            #expect(server.requests.count == 1)
        }
    }

    @Test func aYoungServersSearchIsRepeated() async throws {
        let count = Locked(0)
        try await withStore(
            Script { _, connection in
                let number = count.withLock { count in
                    count += 1
                    return count
                }
                if number < 3 {
                    try connection.json(
                        "{\"error_code\":\"INTERNAL_ERROR\",\"message\":\"module 'mlflow.server.auth' has no attribute 'auth_config'\"}",
                        500)
                } else {
                    try connection.json("{\"runs\":[\(Self.run("a"))]}")
                }
            }
        ) { store, _ in
            let page = try await store.runs(query, nil)
            #expect(page.elements.count == 1)
        }
        try await withStore(Script { _, connection in try connection.json("{\"message\":\"auth_config\"}", 500) }) { store, server in
            await expectFailure(.serverFailure) { try await store.runs(query, nil) }
            #expect(server.requests.count == 3)
        }
    }

    /// A read may be sent three times; a write, and what a server asks to send less often, once. So is everything of who counts requests.
    @Test func onlyReadsAreRepeated() async throws {
        try await withStore(Script { _, connection in try connection.json("{\"message\":\"no\"}", 503) }) { store, server in
            await expectFailure(.serverFailure) { _ = try await store.run(RunID("r")) }
            #expect(server.requests.count == 3)
            await expectFailure(.serverFailure) { try await store.history(of: RunID("r"), metric: "m") { _ in } }
            #expect(server.requests.count == 6)
            await expectFailure(.serverFailure, isInDoubt: true) { try await store.deleteRun(RunID("r")) }
            #expect(server.requests.count == 7)
            await expectFailure(.serverFailure) { _ = try await store.askingOnce.run(RunID("r")) }
            #expect(server.requests.count == 8)
        }
        try await withStore(Script { _, connection in try connection.json("{\"message\":\"slowly\"}", 429) }) { store, server in
            await expectFailure(.throttled) { _ = try await store.run(RunID("r")) }
            #expect(server.requests.count == 1)
        }
    }

    @Test func aMissingBulkCallIsRemembered() async throws {
        try await withStore(Script { _, connection in try connection.answer(404, body: Array("Not Found".utf8)) }) { store, server in
            for _ in 0..<3 {
                let found = try await store.histories(of: [RunID("r")], metric: "m")
                #expect(found == nil)
            }
            #expect(server.requests.count == 1)
        }
    }

    @Test func aFullBulkAnswersLastRunIsLeftOut() async throws {
        var dialect = Dialect.mlflow
        dialect.bulkHistoryPoints = 3
        // Whatever order the server's data base has.
        let points = ["b", "b", "a"].enumerated().map { "{\"run_id\":\"\($0.element)\",\"step\":\($0.offset),\"value\":NaN}" }
        try await withStore(
            dialect: dialect,
            Script { _, connection in
                try connection.json("{\"metrics\":[\(points.joined(separator: ","))]}")
            }
        ) { store, _ in
            let found = try #require(try await store.histories(of: ["a", "b", "c"].map { RunID($0) }, metric: "m"))
            #expect(Set(found.keys) == [RunID("b")] && found[RunID("b")]?.count == 2)
        }
    }

    @Test func aHistoryInPagesLosesAndDoublesNothing() async throws {
        try await withStore(
            Script { request, connection in
                let pages = [
                    "{\"metrics\":[{\"step\":1},{\"step\":2}],\"next_page_token\":\"x\"}",
                    "{\"metrics\":[{\"step\":2},{\"step\":3}],\"next_page_token\":\"y\"}", "{\"metrics\":[{\"step\":4}]}",
                ]
                let page = request.target.contains("page_token=y") ? 2 : request.target.contains("page_token=x") ? 1 : 0
                try connection.json(pages[page])
            }
        ) { store, _ in
            let found = try await StoreConformance.history(store, RunID("r"), "m")
            #expect(found.map(\.step) == [1, 2, 3, 4])
        }
    }

    @Test func aHistoryOutOfOrderIsPutInOrder() async throws {
        let body =
            "{\"metrics\":[{\"timestamp\":\"3\"},{\"timestamp\":1,\"value\":2},{\"timestamp\":1,\"value\":\"NaN\"},{\"timestamp\":1}]}"
        try await withStore(Script { _, connection in try connection.json(body) }) { store, _ in
            let found = try await StoreConformance.history(store, RunID("r"), "m")
            #expect(StoreConformance.text(found) == ["1 0 0.0", "1 0 nan", "1 0 2.0", "3 0 0.0"])
        }
    }
}
