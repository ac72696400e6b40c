import TestSupport
import Testing

@testable import Curl

/// A server that answers a first request, takes a second on the same connection, and breaks it without an answer.
@Suite struct ResendTests {
    enum Ending: CaseIterable { case close, reset }

    static func script(_ ending: Ending) -> @Sendable (RawConnection) throws -> Void {
        { connection in
            if try connection.readRequest().target == "/warm" {
                try connection.answer(body: Array("ok".utf8))
                try connection.readRequest()
            }
            if ending == .reset { connection.resetAtEnd() }
        }
    }

    /// Made anew for each use: a stream is read once.
    static var bodies: [HTTPBody] {
        [
            .none, .bytes([]), .text("{\"a\":1}"), .bytes([UInt8](repeating: 7, count: 300_000)), .oneChunk(length: 3),
            .oneChunk(length: nil),
        ]
    }

    @Test(arguments: Ending.allCases, bodies.indices)
    func aPostIsReceivedOnceAndInDoubt(_ ending: Ending, _ body: Int) async throws {
        try await withServer(Self.script(ending)) { server, client in
            _ = try await client.send(HTTPRequest(.get, server.url + "/warm"))
            await expectError(.reset, isInDoubt: true) {
                try await client.send(HTTPRequest(.post, server.url + "/create"), body: Self.bodies[body])
            }
            #expect(server.requests.filter { $0.method == "POST" }.count == 1)
        }
    }

    @Test(arguments: [HTTPRequest.Method.delete, .patch, .put])
    func otherMethodsWithoutBodyAreReceivedOnce(_ method: HTTPRequest.Method) async throws {
        try await withServer(Self.script(.close)) { server, client in
            _ = try await client.send(HTTPRequest(.get, server.url + "/warm"))
            await expectError(.reset, isInDoubt: true) { try await client.send(HTTPRequest(method, server.url + "/x")) }
            #expect(server.requests.filter { $0.target == "/x" }.count == 1)
        }
    }

    @Test(arguments: [HTTPRequest.Method.get, .put])
    func anIdempotentRequestIsRepeated(_ method: HTTPRequest.Method) async throws {
        let script: @Sendable (RawConnection) throws -> Void = { connection in
            try connection.readRequest()
            try connection.answer()
            let request = try connection.readRequest()
            if connection.index > 0 { try connection.answer(body: request.body) }
        }
        try await withServer(script) { server, client in
            _ = try await client.send(HTTPRequest(.get, server.url + "/warm"))
            let body: HTTPBody = method == .get ? .none : .text("twice is once")
            // The second connection answers its first request with an empty body.
            let response = try await client.send(HTTPRequest(method, server.url + "/again", isIdempotent: true), body: body)
            #expect(response.status == 200)
            #expect(server.requests.filter { $0.target == "/again" }.map(\.body.count) == (method == .get ? [0, 0] : [13, 13]))
        }
    }

    @Test func aFirstConnectionThatClosesIsInDoubtOnlyForAPost() async throws {
        let script: @Sendable (RawConnection) throws -> Void = { try $0.readRequest() }
        try await withServer(script) { server, client in
            await expectError(.reset, isInDoubt: true) { try await client.send(HTTPRequest(.post, server.url), body: .text("{}")) }
            await expectError(.reset, isInDoubt: false) { try await client.send(HTTPRequest(.get, server.url)) }
        }
    }

    @Test(arguments: ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 000 Nothing\r\n\r\n", "hello\r\n\r\n"])
    func noFinalStatusIsNoAnswer(_ bytes: String) async throws {
        let script: @Sendable (RawConnection) throws -> Void = { connection in
            try connection.readRequest()
            try connection.write(bytes)
        }
        try await withServer(script) { server, client in
            let error = await #expect(throws: HTTPError.self) { try await client.send(HTTPRequest(.post, server.url), body: .text("{}")) }
            #expect(error?.isInDoubt == true)
            #expect(server.requests.count == 1)
        }
    }

    @Test(arguments: [false, true])
    func successWithoutAStatusIsNoAnswer(_ isInterim: Bool) async throws {
        let handle = try #require(CurlHandle())
        let transfer = Transfer(
            HTTPRequest(.post, "http://127.0.0.1/"), body: .text("{}"), delivery: .whole(limit: 9), isForeign: false,
            mailbox: Mailbox(waking: nil))
        let exchange = ActiveTransfer(transfer, handle, clock: LoopClock(), sockets: SocketSet(), checksAddress: true)
        #expect(exchange.willSend())
        if isInterim { for line in ["HTTP/1.1 100 Continue\r\n", "\r\n"] { _ = Array(line.utf8).withUnsafeBytes(exchange.acceptHeader) } }
        exchange.concludeWithAnswer()
        await expectError(.reset, isInDoubt: true) { try await transfer.response() }
        // What libcurl might send again is stopped here.
        #expect(!exchange.willSend())
    }

    @Test func urlsAreSentAsGiven() async throws {
        let script: @Sendable (RawConnection) throws -> Void = { connection in
            try connection.readRequest()
            try connection.answer()
        }
        try await withServer(script) { server, client in
            let target = "/a/../b/./c%2Fd%2e%2E//e?x=%20+&y=/../z"
            _ = try await client.send(HTTPRequest(.get, server.url + target + "#fragment"))
            #expect(server.requests[0].target == target)
        }
    }

    @Test func bodiesArriveAsSent() async throws {
        let script: @Sendable (RawConnection) throws -> Void = { connection in
            while true { try connection.answer(body: connection.readRequest().body) }
        }
        try await withServer(script) { server, client in
            for (index, body) in Self.bodies.enumerated() {
                let response = try await client.send(HTTPRequest(.post, server.url), body: body)
                #expect(response.body.count == [0, 0, 7, 300_000, 3, 3][index])
            }
            #expect(server.requests.allSatisfy { $0.method == "POST" && $0.header("expect") == nil })
            #expect(server.requests.map { $0.header("content-length") } == ["0", "0", "7", "300000", "3", nil])
        }
    }
}

extension HTTPBody {
    /// A stream of the three bytes "abc", told to have `length` bytes.
    static func oneChunk(length: Int64?) -> HTTPBody {
        let chunks = Chunks(["abc"].map { Array($0.utf8) })
        return .stream(length: length) { await chunks.next() }
    }
}

actor Chunks {
    private var rest: [[UInt8]]
    private(set) var pulled = 0

    init(_ chunks: [[UInt8]]) { rest = chunks }

    func next() -> [UInt8]? {
        guard !rest.isEmpty else { return nil }
        pulled += 1
        return rest.removeFirst()
    }
}
