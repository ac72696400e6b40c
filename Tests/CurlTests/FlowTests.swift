import Curl
import Foundation
import TestSupport
import Testing

@Suite struct FlowTests {
    static let megabyte = [UInt8](repeating: 1, count: 1 << 20)

    /// Sends a megabyte at a time until the peer is gone.
    static let endless: @Sendable (RawConnection) throws -> Void = { connection in
        try connection.readRequest()
        try connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
        while true { try connection.write(megabyte) }
    }

    @Test func aSlowReaderHoldsTheServerBack() async throws {
        try await withServer(Self.endless) { server, client in
            try await client.withResponse(HTTPRequest(.get, server.url)) { response in
                for _ in 0..<4 {
                    #expect(try await response.next()?.count ?? 0 <= 256 << 10)
                    try await Task.sleep(for: .seconds(0.1))
                }
            }
            // The rest is in the kernel's socket buffers.
            #expect(server.sentBytes < 20 << 20)
        }
    }

    @Test func aSlowServerHoldsTheBodyBack() async throws {
        let script: @Sendable (RawConnection) throws -> Void = { connection in
            _ = try connection.readHead()
            connection.sleep(0.4)
        }
        let chunks = Chunks([[UInt8]](repeating: [UInt8](repeating: 0, count: 64 << 10), count: 4000))
        try await withServer(script) { server, client in
            await expectError(.reset, isInDoubt: true) {
                try await client.send(HTTPRequest(.post, server.url), body: .stream(length: nil) { await chunks.next() })
            }
            #expect(await chunks.pulled < 320)
        }
    }

    @Test(arguments: [false, true])
    func cancellingAnUploadIsPrompt(_ hasLength: Bool) async throws {
        let ended = Flag()
        let script: @Sendable (RawConnection) throws -> Void = { connection in
            _ = try connection.readHead()
            connection.waitForEnd()
            ended.set()
        }
        try await withServer(script) { server, client in
            let url = server.url
            try await expectPromptCancellation {
                let body = HTTPBody.stream(length: hasLength ? 1 << 40 : nil) { Self.megabyte }
                _ = try await client.send(HTTPRequest(.post, url), body: body)
            } after: { attempt in
                server.receivedBytes > (attempt + 1) * 2 << 20
            }
            try await expectEventually { ended.isSet }
        }
    }

    @Test(arguments: [false, true])
    func cancellingAWaitIsPrompt(_ streams: Bool) async throws {
        try await withServer(LimitTests.silent) { server, client in
            let request = HTTPRequest(.get, server.url)
            try await expectPromptCancellation {
                if streams { try await client.withResponse(request) { _ in } } else { _ = try await client.send(request) }
            } after: { attempt in
                server.requests.count > attempt
            }
        }
    }

    /// The quickest of five attempts counts: the machine may be busy with other tests.
    private func expectPromptCancellation(
        _ body: @escaping @Sendable () async throws -> Void, after isReady: (Int) -> Bool
    ) async throws {
        var times: [Double] = []
        for attempt in 0..<5 {
            let task = Task { try await body() }
            try await expectEventually { isReady(attempt) }
            task.cancel()
            times.append(await seconds { await #expect(throws: CancellationError.self) { try await task.value } })
        }
        #expect(times.contains { $0 < 0.05 }, "\(times)")
    }

    @Test func aTaskCancelledBeforehandSendsNothing() async throws {
        try await withServer(LimitTests.silent) { server, client in
            let url = server.url
            let task = Task {
                try? await Task.sleep(for: .seconds(9))
                _ = try await client.send(HTTPRequest(.get, url))
            }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(server.requests.isEmpty)
        }
    }

    @Test func leavingEarlyClosesTheConnection() async throws {
        let ended = Flag()
        let script: @Sendable (RawConnection) throws -> Void = { connection in
            defer { ended.set() }
            try Self.endless(connection)
        }
        try await withServer(script) { server, client in
            let size = try await client.withResponse(HTTPRequest(.get, server.url)) { try await $0.next()?.count ?? 0 }
            #expect(size > 0)
            try await expectEventually { ended.isSet }
        }
    }

    struct Broken: Error {}

    @Test func aBodyThatFailsOrLiesEndsTheRequest() async throws {
        try await withServer(LimitTests.silent) { server, client in
            await #expect(throws: Broken.self) {
                try await client.send(HTTPRequest(.post, server.url), body: .stream(length: nil) { throw Broken() })
            }
            for length in [2, 4] as [Int64] {
                await expectError(.bodyFailed, isInDoubt: true) {
                    try await client.send(HTTPRequest(.post, server.url), body: .oneChunk(length: length))
                }
            }
        }
    }

    @Test func anEarlyAnswerEndsTheBody() async throws {
        let script: @Sendable (RawConnection) throws -> Void = { connection in
            _ = try connection.readHead()
            try connection.answer(413)
            connection.sleep(0.3)
        }
        try await withServer(script) { server, client in
            let body = HTTPBody.stream(length: nil) { Self.megabyte }
            let status = try await client.withResponse(HTTPRequest(.put, server.url), body: body) { $0.status }
            #expect(status == 413)
        }
    }

    @Test func manyRequestsShareFewConnections() async throws {
        let script: @Sendable (RawConnection) throws -> Void = { connection in
            while true { try connection.answer(body: Array(connection.readRequest().target.utf8)) }
        }
        try await withServer(script) { server, _ in
            let client = makeClient { $0.maximumConnectionsPerHost = 16 }
            defer { client.shutdown() }
            let url = server.url
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<200 {
                    group.addTask {
                        let response = try await client.send(HTTPRequest(.get, "\(url)/\(number)"))
                        #expect(response.body == Array("/\(number)".utf8))
                    }
                }
                try await group.waitForAll()
            }
            #expect(server.connections <= 16)
            #expect(server.requests.count == 200)
        }
    }

    /// A server with Nagle's algorithm on holds the second write until the first is acknowledged.
    @Test func twoWritesDoNotWaitForADelayedAcknowledgement() async throws {
        let script: @Sendable (RawConnection) throws -> Void = { connection in
            while true {
                try connection.readRequest()
                try connection.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
                try connection.write("body")
            }
        }
        try await withServer(script) { server, client in
            var times: [Double] = []
            for _ in 0..<30 {
                let time = try await seconds { _ = try await client.send(HTTPRequest(.post, server.url), body: .text("{}")) }
                times.append(time)
            }
            #expect(server.connections == 1)
            #expect(times.filter { $0 > 0.035 }.count < 12, "\(times)")
        }
    }

    @Test func shutdownEndsWhatRunsAtOnce() async throws {
        try await withServer(LimitTests.silent) { server, client in
            let url = server.url
            let running = Task { try await client.send(HTTPRequest(.post, url), body: .text("{}")) }
            try await expectEventually { server.requests.count == 1 }
            let time = await seconds {
                client.shutdown()
                await expectError(.closed, isInDoubt: true) { try await running.value }
            }
            #expect(time < 2)
            await expectError(.closed) { try await client.send(HTTPRequest(.post, url)) }
            await expectError(.closed) { try await client.withResponse(HTTPRequest(.get, url)) { _ in } }
        }
    }

    /// The thread owns the connections: when it ends, the server sees them close.
    @Test func aForgottenClientEndsItsThread() async throws {
        let ended = Flag()
        let server = try RawServer { connection in
            try connection.readRequest()
            try connection.answer()
            connection.waitForEnd()
            ended.set()
        }
        defer { server.stop() }
        func request() async throws { _ = try await makeClient().send(HTTPRequest(.get, server.url)) }
        try await request()
        try await expectEventually { ended.isSet }
    }
}

/// Set once, from any thread. `@unchecked Sendable`: `value` is only touched under `lock`.
final class Flag: @unchecked Sendable {
    private let lock = NSLock()
    private var value = false
    func set() { lock.withLock { value = true } }
    var isSet: Bool { lock.withLock { value } }
}
