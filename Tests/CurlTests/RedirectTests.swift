import TestSupport
import Testing

@testable import Curl

@Suite struct RedirectTests {
    static func redirecting(_ status: Int, to location: @escaping @Sendable (RawRequest) -> String?)
        -> @Sendable (RawConnection) throws -> Void
    {
        { connection in
            while true {
                let request = try connection.readRequest()
                if let location = location(request) {
                    try connection.answer(status, ["Location: \(location)"], body: Array("moved".utf8))
                } else {
                    try connection.answer(body: Array("here".utf8))
                }
            }
        }
    }

    static let credentials = [
        HTTPHeader("Authorization", "Bearer canary"), HTTPHeader("Cookie", "a=canary"),
        HTTPHeader("X-Databricks-Azure-SP-Management-Token", "canary"),
        HTTPHeader("X-Custom", "canary"), HTTPHeader("Accept", "text/plain"), HTTPHeader("Range", "bytes=0-3"), HTTPHeader("If-Match", "x"),
    ]

    @Test(arguments: [false, true])
    func anotherOriginGetsNoCredential(_ streams: Bool) async throws {
        try await withServer(Self.redirecting(200) { _ in nil }) { target, client in
            let url = target.url
            let source = try RawServer(Self.redirecting(307) { _ in url + "/there" })
            defer { source.stop() }
            let request = HTTPRequest(.get, source.url, headers: Self.credentials)
            let body =
                streams ? try await client.withResponse(request) { try await $0.collect(limit: 99) } : try await client.send(request).body
            #expect(body == Array("here".utf8))
            let names = Set(target.requests[0].headers.map { $0.name.lowercased() })
            #expect(names.isSuperset(of: ["accept", "range", "if-match", "user-agent", "host"]))
            #expect(names.isDisjoint(with: ["authorization", "cookie", "x-databricks-azure-sp-management-token", "x-custom"]))
            #expect(!target.requests[0].headers.contains { $0.value.contains("canary") })
            #expect(source.requests[0].header("x-custom") == "canary")
        }
    }

    @Test(arguments: ["/there?a=b", "there", "//HOST/there"])
    func theSameOriginKeepsHeaders(_ location: String) async throws {
        let script = Self.redirecting(302) { request in
            request.target.hasPrefix("/there") ? nil : location.replacing("HOST", with: request.header("host") ?? "")
        }
        try await withServer(script) { server, client in
            let response = try await client.send(HTTPRequest(.get, server.url + "/start", headers: Self.credentials))
            #expect(response.body == Array("here".utf8))
            #expect(server.requests.map { $0.header("authorization") } == ["Bearer canary", "Bearer canary"])
        }
    }

    static let forbidden = [
        "http://localhost:PORT/", "http://127.0.0.2:PORT/", "http://[::1]:PORT/", "http://[::ffff:127.0.0.1]:PORT/",
        "http://0x7f000002:PORT/",
        "http://127.2:PORT/", "http://10.0.0.1/", "http://192.168.1.1/", "http://172.16.0.1/", "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/", "http://[fd00::1]/", "http://0.0.0.0:PORT/", "http://name.localhost:PORT/", "http://user@localhost:PORT/",
        "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/",
    ]

    @Test(arguments: forbidden)
    func privateAddressesAndOtherSchemesAreRefused(_ location: String) async throws {
        let script = Self.redirecting(302) { request in
            let port = request.header("host")?.split(separator: ":").last ?? ""
            return request.target == "/start" ? location.replacing("PORT", with: port) : nil
        }
        try await withServer(script) { server, client in
            await expectError(.forbiddenRedirect) { try await client.send(HTTPRequest(.get, server.url + "/start")) }
            await expectError(.forbiddenRedirect) { try await client.withResponse(HTTPRequest(.get, server.url + "/start")) { _ in } }
            #expect(server.requests.allSatisfy { $0.target == "/start" })
        }
    }

    /// A proxy resolves names by itself, so only what the URL says can be judged.
    @Test(arguments: ["http://10.0.0.1/", "http://localhost/", "http://0x7f.1/"])
    func privateAddressesAreRefusedBehindAProxy(_ location: String) async throws {
        try await withServer(Self.redirecting(302) { _ in location }) { server, _ in
            let client = makeClient { $0.proxy = .url(server.url) }
            await expectError(.forbiddenRedirect) { try await client.send(HTTPRequest(.get, "http://example.invalid/")) }
            #expect(server.requests.count == 1)
            client.shutdown()
        }
    }

    @Test func fiveHopsAreFollowedAndTheSixthIsNot() async throws {
        let script = Self.redirecting(301) { request in
            let left = Int(request.target.dropFirst()) ?? 0
            return left == 0 ? nil : "/\(left - 1)"
        }
        try await withServer(script) { server, client in
            let response = try await client.send(HTTPRequest(.get, server.url + "/5"))
            #expect(response.status == 200)
            await expectError(.tooManyRedirects) { try await client.send(HTTPRequest(.get, server.url + "/6")) }
            #expect(server.requests.count == 12)
        }
    }

    @Test(arguments: [HTTPRequest.Method.post, .put, .patch, .delete])
    func aRedirectedChangeIsReturned(_ method: HTTPRequest.Method) async throws {
        try await withServer(Self.redirecting(307) { _ in "/other" }) { server, client in
            let response = try await client.send(HTTPRequest(method, server.url + "/start"), body: method == .delete ? .none : .text("{}"))
            #expect(response.status == 307)
            #expect(server.requests.count == 1)
        }
    }

    @Test func httpsNeverBecomesHttp() throws {
        var redirects = Redirects(HTTPRequest(.get, "https://example.com/a", headers: Self.credentials), body: .none)
        #expect(throws: HTTPError.self) { try redirects.follow(status: 302, headers: [HTTPHeader("Location", "http://example.com/a")]) }
        #expect(try redirects.follow(status: 302, headers: [HTTPHeader("location", "https://u:p@cdn.example.com/b c#d")]))
        #expect(redirects.request.url == "https://cdn.example.com/b%20c")
        #expect(redirects.request.headers.map(\.name) == ["Accept", "Range", "If-Match"])
        #expect(redirects.isForeign)
        // What was dropped on the way does not come back with the first host.
        #expect(try redirects.follow(status: 302, headers: [HTTPHeader("location", "https://example.com/c")]))
        #expect(redirects.request.headers.count == 3)
        #expect(!redirects.isForeign)
        #expect(try !redirects.follow(status: 304, headers: [HTTPHeader("location", "https://example.com/c")]))
    }

    @Test func privateAddressesAreKnown() {
        for host in ["8.8.8.8", "example.com", "[2606:4700::1]", "172.32.0.1", "100.128.0.1", "[64:ff9b::808:808]"] {
            #expect(!PrivateAddress.contains(host: host))
        }
        for host in [
            "100.64.0.1", "[64:ff9b::a00:1]", "[2002:7f00:1::]", "[::]", "[fec0::1]", "[ff02::1]", "255.255.255.255", "LOCALHOST.",
        ] {
            #expect(PrivateAddress.contains(host: host))
        }
    }
}
