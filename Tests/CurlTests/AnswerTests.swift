import Curl
import TestSupport
import Testing

@Suite struct AnswerTests {
    /// Reads one request, writes `bytes`, closes.
    static func answering(_ bytes: String) -> @Sendable (RawConnection) throws -> Void {
        { connection in
            try connection.readRequest()
            try connection.write(bytes)
        }
    }

    static let cut = [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Length: 4\r\n\r\nfour",
        "HTTP/1.1 200 OK\r\nContent-Length: 10, 4\r\n\r\nfour",
    ]

    @Test(arguments: cut)
    func aCutOrContradictoryBodyIsAnError(_ bytes: String) async throws {
        try await withServer(Self.answering(bytes)) { server, client in
            await expectError(.truncated) { try await client.send(HTTPRequest(.get, server.url)) }
            await expectError(.truncated, isInDoubt: true) { try await client.send(HTTPRequest(.post, server.url), body: .text("{}")) }
            await expectError(.truncated) {
                try await client.withResponse(HTTPRequest(.get, server.url)) { try await $0.collect(limit: 100) }
            }
        }
    }

    @Test func whatCameBeforeTheCutIsDelivered() async throws {
        try await withServer(Self.answering(Self.cut[0])) { server, client in
            try await client.withResponse(HTTPRequest(.get, server.url)) { response in
                let chunk = try await response.next()
                #expect(chunk == Array("four".utf8))
                await expectError(.truncated) { try await response.next() }
            }
        }
    }

    @Test func equalLengthsAreNoContradiction() async throws {
        try await withServer(Self.answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\ncontent-length: 4\r\n\r\nfour")) { server, client in
            let response = try await client.send(HTTPRequest(.get, server.url))
            #expect(response.body == Array("four".utf8))
        }
    }

    @Test func aBombIsStoppedAtTheLimit() async throws {
        // 300 MB behind 1.9 MB.
        let bomb = Self.zeros(count: 300 << 20)
        let script: @Sendable (RawConnection) throws -> Void = { connection in
            try connection.readRequest()
            try connection.write("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
            try connection.write(bomb)
        }
        try await withServer(script) { server, client in
            await expectError(.bodyTooLarge) {
                try await client.send(HTTPRequest(.get, server.url, maximumResponseBytes: 1 << 20))
            }
            #expect(server.requests.first?.header("accept-encoding")?.contains("gzip") == true)
        }
    }

    /// A gzip body of zeros: one literal, then copies of 258 bytes in 13 bits each.
    static func zeros(count: Int) -> [UInt8] {
        let match: [UInt8] = [1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0]
        let eight = Array(repeatElement(match, count: 8).joined())
        // The block's header (3 bits) and the literal (8 bits) shift the pattern by 11 bits.
        let bits = [1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0] + eight
        func bytes(_ bits: ArraySlice<UInt8>) -> [UInt8] {
            stride(from: bits.startIndex, to: bits.endIndex - 7, by: 8).map { start in
                (0..<8).reduce(0) { $0 | bits[start + $1] << $1 }
            }
        }
        let first = bytes(bits[..<112])
        let repeated = bytes((Array(bits[112...]) + eight)[..<104])
        let gzip: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3]
        return gzip + first + Array(repeatElement(repeated, count: count / (258 * 8)).joined())
    }

    @Test func onlyAWholeAnswerIsDecompressed() async throws {
        let packed: [UInt8] = [31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 203, 72, 205, 201, 201, 7, 0, 134, 166, 16, 54, 5, 0, 0, 0]
        let script: @Sendable (RawConnection) throws -> Void = { connection in
            while true {
                try connection.readRequest()
                try connection.answer(200, ["Content-Encoding: gzip"], body: packed)
            }
        }
        try await withServer(script) { server, client in
            #expect(try await client.send(HTTPRequest(.get, server.url)).body == Array("hello".utf8))
            let raw = try await client.withResponse(HTTPRequest(.get, server.url)) { try await $0.collect(limit: 100) }
            #expect(raw == packed)
            #expect(server.requests.map { $0.header("accept-encoding") == nil } == [false, true])
        }
    }

    @Test func collectAndSendStopAtTheirLimits() async throws {
        let script: @Sendable (RawConnection) throws -> Void = { connection in
            try connection.readRequest()
            try connection.answer(body: [UInt8](repeating: 1, count: 1000))
        }
        try await withServer(script) { server, client in
            await expectError(.bodyTooLarge) { try await client.send(HTTPRequest(.get, server.url, maximumResponseBytes: 999)) }
            let whole = try await client.send(HTTPRequest(.get, server.url, maximumResponseBytes: 1000))
            #expect(whole.body.count == 1000)
            await expectError(.bodyTooLarge) {
                try await client.withResponse(HTTPRequest(.get, server.url)) { try await $0.collect(limit: 999) }
            }
        }
    }

    @Test func headAndHeadersAreRead() async throws {
        let bytes = "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 404 Not Found\r\nX-One:  a b \r\nx-one: c\r\nContent-Length: 0\r\n\r\n"
        try await withServer(Self.answering(bytes)) { server, client in
            for method in [HTTPRequest.Method.get, .head, .delete] {
                let response = try await client.send(HTTPRequest(method, server.url, headers: [HTTPHeader("X-Empty", "")]))
                #expect(response.status == 404)
                #expect(response.header("X-ONE") == "a b")
                #expect(response.headers.count == 3)
            }
            #expect(server.requests.map(\.method) == ["GET", "HEAD", "DELETE"])
            #expect(server.requests.allSatisfy { $0.header("x-empty") == "" && $0.header("user-agent") == "mlmirror" })
        }
    }

    @Test func hiddenLinesAndForeignSchemesAreRefused() async throws {
        let client = makeClient()
        await expectError(.other) {
            try await client.send(HTTPRequest(.get, "http://127.0.0.1:1", headers: [HTTPHeader("A", "b\r\nC: d")]))
        }
        for url in ["file:///etc/passwd", "ftp://127.0.0.1/", "http://a b/", "http://", ""] {
            await expectError(.badURL) { try await client.send(HTTPRequest(.get, url)) }
        }
        client.shutdown()
    }
}
