import Replication
import TestSupport
import Testing

@testable import Platforms

/// What answers for a server that is away, and answers that came in part: neither is an empty store.
@Suite struct AwayServerTests {
    private static func notFound(_ connection: RawConnection) throws {
        try connection.answer(404, ["Content-Type: text/plain"], body: Array("404 page not found\n".utf8))
    }

    @Test func aListingThatEndsAmidIsNotWhole() async throws {
        let script = Script { request, connection in
            if String(decoding: request.body, as: UTF8.self).contains("page_token") { return try Self.notFound(connection) }
            try connection.json("{\"models\":[],\"next_page_token\":\"next\"}")
        }
        try await withStore(script) { store, _ in
            let first = try await store.askingOnce.loggedModels(in: [ExperimentID("1")], nil)
            #expect(first.next != nil)
            await expectFailure(.serverFailure) { try await store.askingOnce.loggedModels(in: [ExperimentID("1")], first.next) }
            await expectFailure(.serverFailure) { try await store.askingOnce.loggedModels(in: [ExperimentID("2")], first.next) }
        }
    }

    @Test func aServerThatLacksEveryCallLacksNone() async throws {
        try await withStore(Script { _, connection in try Self.notFound(connection) }) { store, _ in
            await expectFailure(.serverFailure) { try await store.askingOnce.loggedModels(in: [ExperimentID("1")], nil) }
        }
    }

    @Test func oneThatLacksLoggedModelsHasNone() async throws {
        let script = Script { request, connection in
            if request.target.contains("logged-models") { return try Self.notFound(connection) }
            try connection.json("{\"experiments\":[]}")
        }
        try await withStore(script) { store, _ in
            for _ in 0..<2 {
                let page = try await store.askingOnce.loggedModels(in: [ExperimentID("1")], nil)
                #expect(page.elements.isEmpty && page.next == nil)
            }
        }
    }

    @Test func oneThingsAnswerThatIsCutIsAskedForAgain() async throws {
        let script = Script { _, connection in try connection.json("{\"run\":{\"info\":{\"run_id\":\"a\"") }
        try await withStore(script) { store, _ in
            await expectFailure(.truncated) { try await store.askingOnce.run(RunID("a")) }
        }
    }

    /// Some services write `=` as an escape.
    @Test func aPagesTokenIsReadAsJSON() async throws {
        let script = Script { request, connection in
            if request.target.contains("page_token=a%3D%2F") { return try connection.json("{\"metrics\":[]}") }
            if request.target.contains("page_token") { return try connection.json("{\"error_code\":\"INVALID_PARAMETER_VALUE\"}", 400) }
            try connection.json(
                "{\"metrics\":[{\"key\":\"m\",\"value\":1,\"timestamp\":1,\"step\":0}],\"next_page_token\":\"a\\u003d\\/\"}")
        }
        try await withStore(script) { store, _ in
            let count = Locked(0)
            try await store.askingOnce.history(of: RunID("r"), metric: "m") { points in count.withLock { $0 += points.count } }
            #expect(count.withLock { $0 } == 1)
        }
    }
}
