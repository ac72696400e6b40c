import Curl
import TestSupport
import Testing

@Suite struct LimitTests {
    static let silent: @Sendable (RawConnection) throws -> Void = { connection in
        try connection.readRequest()
        connection.waitForEnd()
    }

    @Test func refusedAndUnresolved() async throws {
        let client = makeClient()
        let port = try RawSocket.unusedPort()
        await expectError(.refused) { try await client.send(HTTPRequest(.post, "http://127.0.0.1:\(port)/"), body: .text("{}")) }
        await expectError(.unresolved) { try await client.send(HTTPRequest(.post, "http://nobody.invalid/")) }
        client.shutdown()
    }

    @Test(arguments: ["http", "https"])
    func aBlackHoleEndsWithTheConnectTimeout(_ scheme: String) async throws {
        let client = makeClient()
        try await RawSocket.withBlackHole { port in
            let request = HTTPRequest(.post, "\(scheme)://127.0.0.1:\(port)/", timeouts: Timeouts(connect: 0.3))
            let time = await seconds {
                await withTaskGroup { group in
                    for _ in 0..<20 {
                        group.addTask { _ = await expectError(.connectTimeout) { try await client.send(request, body: .text("{}")) } }
                    }
                }
            }
            #expect(time > 0.25 && time < 3)
        }
        client.shutdown()
    }

    @Test func tlsToAPlainPortIsATLSError() async throws {
        let script: @Sendable (RawConnection) throws -> Void = { try $0.write("HTTP/1.1 400 Bad\r\n\r\n") }
        try await withServer(script) { server, client in
            await expectError(.tls) { try await client.send(HTTPRequest(.post, "https://127.0.0.1:\(server.port)/"), body: .text("{}")) }
        }
    }

    @Test func noFirstByteIsATimeoutInDoubt() async throws {
        try await withServer(Self.silent) { server, client in
            let timeouts = Timeouts(firstByte: 0.3, stall: 0.1)
            let time = await seconds {
                await expectError(.timeout, isInDoubt: true) {
                    try await client.send(HTTPRequest(.post, server.url, timeouts: timeouts), body: .text("{}"))
                }
                await expectError(.timeout) { try await client.withResponse(HTTPRequest(.get, server.url, timeouts: timeouts)) { _ in } }
            }
            #expect(time > 0.55 && time < 4)
        }
    }

    @Test func aStalledAnswerIsNoticed() async throws {
        let script: @Sendable (RawConnection) throws -> Void = { connection in
            try connection.readRequest()
            try connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")
            connection.waitForEnd()
        }
        try await withServer(script) { server, client in
            let request = HTTPRequest(.get, server.url, timeouts: Timeouts(firstByte: 9, stall: 0.3))
            let time = await seconds { await expectError(.stalled) { try await client.send(request) } }
            #expect(time > 0.25 && time < 4)
        }
    }

    @Test func aStalledUploadIsNoticed() async throws {
        let script: @Sendable (RawConnection) throws -> Void = { connection in
            _ = try connection.readHead()
            connection.sleep(3)
        }
        try await withServer(script) { server, client in
            let request = HTTPRequest(.put, server.url, timeouts: Timeouts(firstByte: 9, stall: 0.3))
            let time = await seconds {
                await expectError(.stalled, isInDoubt: true) {
                    try await client.send(request, body: .bytes([UInt8](repeating: 0, count: 32 << 20)))
                }
            }
            #expect(time > 0.25 && time < 2.8)
        }
    }

    @Test func aTrickleEndsWithTheTotal() async throws {
        let script: @Sendable (RawConnection) throws -> Void = { connection in
            try connection.readRequest()
            try connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while true {
                try connection.write(".")
                connection.sleep(0.03)
            }
        }
        try await withServer(script) { server, client in
            let request = HTTPRequest(.post, server.url, timeouts: Timeouts(firstByte: 0.3, stall: 0.3, total: 0.7))
            let time = await seconds { await expectError(.timeout, isInDoubt: true) { try await client.send(request, body: .text("{}")) } }
            #expect(time > 0.65 && time < 4)
        }
    }

    @Test func aSlowCallerIsNoStall() async throws {
        let large = [UInt8](repeating: 1, count: 20 << 20)
        let script: @Sendable (RawConnection) throws -> Void = { connection in
            while true {
                let body = try connection.readRequest().body
                try connection.answer(body: body.isEmpty ? large : [1])
            }
        }
        try await withServer(script) { server, client in
            let timeouts = Timeouts(firstByte: 5, stall: 0.3)
            try await client.withResponse(HTTPRequest(.get, server.url, timeouts: timeouts)) { response in
                var count = try await response.next()?.count ?? 0
                try await Task.sleep(for: .seconds(0.8))
                while let chunk = try await response.next() { count += chunk.count }
                #expect(count == large.count)
            }
            let chunks = Chunks([Array("ab".utf8), Array("cd".utf8)])
            let body = HTTPBody.stream(length: nil) {
                try await Task.sleep(for: .seconds(0.5))
                return await chunks.next()
            }
            #expect(try await client.send(HTTPRequest(.post, server.url, timeouts: timeouts), body: body).status == 200)
        }
    }
}
