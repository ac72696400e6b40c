import Foundation
import TestSupport
import Testing

@testable import Curl

@Suite(.serialized) struct ProxyTests {
    static let credentials = "u:canaryPassword"
    /// The credentials as a proxy gets them.
    static let encoded = Data(credentials.utf8).base64EncodedString()

    /// Answers CONNECT with the bytes, and anything else with the target it was asked for.
    static func proxy(refusal: String = "HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n") -> @Sendable (RawConnection) throws -> Void {
        { connection in
            while true {
                let request = try connection.readRequest()
                guard request.method != "CONNECT" else { return try connection.write(refusal) }
                try connection.answer(body: Array(request.target.utf8))
            }
        }
    }

    /// Lets every CONNECT through to one port, whatever host it names.
    static func tunnel(to port: UInt16) -> @Sendable (RawConnection) throws -> Void {
        { connection in
            try connection.readRequest()
            try connection.write("HTTP/1.1 200 Established\r\nX-From-Proxy: yes\r\n\r\n")
            try connection.relay(to: port)
        }
    }

    static func withProxy(
        _ script: @escaping @Sendable (RawConnection) throws -> Void, _ change: (inout HTTPClientConfiguration) -> Void = { _ in },
        _ body: (RawServer, HTTPClient) async throws -> Void
    ) async throws {
        try await withServer(script) { server, _ in
            let client = makeClient {
                $0.proxy = .url("http://\(credentials)@127.0.0.1:\(server.port)")
                change(&$0)
            }
            defer { client.shutdown() }
            try await body(server, client)
        }
    }

    /// In a process of its own, because the environment is shared by all that runs in one.
    @Test func theEnvironmentIsRespected() async {
        await #expect(processExitsWith: .success) {
            for name in ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"] { unsetenv(name) }
            let proxy = try RawServer(ProxyTests.proxy())
            let target = try RawServer { try $0.answer(body: Array(("direct " + $0.readRequest().target).utf8)) }
            func ask(_ host: String, _ rule: ProxyRule = .environment) async throws -> String {
                let client = makeClient { $0.proxy = rule }
                defer { client.shutdown() }
                return try await String(
                    decoding: client.send(HTTPRequest(.get, "http://\(host):\(target.port)/a?b=c")).body, as: UTF8.self)
            }
            let whole = "http://127.0.0.1:\(target.port)/a?b=c"
            #expect(try await ask("127.0.0.1") == "direct /a?b=c")
            setenv("http_proxy", proxy.url, 1)
            #expect(try await ask("127.0.0.1") == whole)
            #expect(try await ask("127.0.0.1", .none) == "direct /a?b=c")
            #expect(proxy.requests.last?.header("host") == "127.0.0.1:\(target.port)")
            for name in ["NO_PROXY", "no_proxy"] {
                setenv(name, "elsewhere.invalid,127.0.0.1", 1)
                #expect(try await ask("127.0.0.1") == "direct /a?b=c")
                #expect(try await ask("127.0.0.1", .url(proxy.url)) == "direct /a?b=c")
                #expect(try await ask("example.invalid") == "http://example.invalid:\(target.port)/a?b=c")
                unsetenv(name)
            }
            #expect(try await ask("127.0.0.1") == whole)
        }
    }

    @Test func aTunnelCarriesTLSAndNothingOfTheProxy() async throws {
        let server = try await TLSServer.start()
        defer { server.stop() }
        let certificate = server.certificate
        try await Self.withProxy(Self.tunnel(to: server.port), { $0.caFile = certificate }) { proxy, client in
            let request = HTTPRequest(.post, "https://server.invalid/", headers: [HTTPHeader("X-Mine", "1")])
            for number in 1...2 {
                let response = try await client.send(request, body: .text("{}"))
                let seen = try TLSServer.Seen(response.body)
                #expect(seen.number == number)
                #expect(seen.headers?.contains("x-mine") == true)
                #expect(seen.headers?.contains("proxy-authorization") == false)
                #expect(response.header("x-from-proxy") == nil)
            }
            #expect(proxy.requests.map(\.target) == ["server.invalid:443"])
            #expect(proxy.requests[0].method == "CONNECT")
            #expect(proxy.requests[0].header("proxy-authorization") == "Basic \(Self.encoded)")
            #expect(proxy.requests[0].header("x-mine") == nil)
        }
        // The tunnel is no reason to trust its other end.
        try await Self.withProxy(Self.tunnel(to: server.port)) { _, client in
            let error = await expectError(.tls) { try await client.send(HTTPRequest(.post, "https://server.invalid/"), body: .text("{}")) }
            Self.expectNoSecret(error)
        }
    }

    @Test(arguments: [407, 403, 502, 503])
    func aRefusedTunnelLeavesNothingInDoubt(_ status: Int) async throws {
        let refusal = "HTTP/1.1 \(status) No\r\nProxy-Authenticate: Basic realm=\"r\"\r\nContent-Length: 4\r\n\r\nbusy"
        try await Self.withProxy(Self.proxy(refusal: refusal)) { proxy, client in
            let error = await expectError(.proxy, isInDoubt: false) {
                try await client.send(HTTPRequest(.post, "https://example.invalid/?token=canary"), body: .text("{}"))
            }
            #expect(error?.description.contains("the proxy refuses") == true)
            #expect(error?.description.contains("\(status)") == true)
            Self.expectNoSecret(error)
            #expect(proxy.requests.map(\.method) == ["CONNECT"])
        }
    }

    @Test(arguments: ["", "HTTP/1.1 200", "hello\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"])
    func aBrokenTunnelLeavesNothingInDoubt(_ answer: String) async throws {
        try await Self.withProxy(Self.proxy(refusal: answer)) { proxy, client in
            let error = await #expect(throws: HTTPError.self) {
                try await client.send(HTTPRequest(.post, "https://example.invalid/"), body: .text("{}"))
            }
            #expect(error?.kind == (answer.hasSuffix("OK\r\n\r\n") ? .tls : .proxy), "\(String(describing: error))")
            #expect(error?.isInDoubt == false)
            Self.expectNoSecret(error)
        }
    }

    /// A plain request is handed over whole: a proxy that then goes away may have passed it on.
    @Test func aPlainRequestLostInTheProxyIsInDoubt() async throws {
        try await Self.withProxy({ try $0.readRequest() }) { proxy, client in
            let error = await expectError(.reset, isInDoubt: true) {
                try await client.send(HTTPRequest(.post, "http://example.invalid/"), body: .text("{}"))
            }
            Self.expectNoSecret(error)
            #expect(proxy.requests.map(\.target) == ["http://example.invalid/"])
        }
    }

    /// Passwords that nobody percent-encoded make addresses that are none, which libcurl quotes.
    @Test(arguments: [
        "u:canary#Password@127.0.0.1:1", "http://u:canary#Password@127.0.0.1:1", "u:canary/Password@nobody.invalid:1",
        "http://u:canary?Password@127.0.0.1:1", "http://u:canary Password@127.0.0.1:1", "http://u:can@ryPassword@127.0.0.1:1",
        "http://u:canaryPassword@127.0.0.1:99999", "ftp://u:canary#Password@127.0.0.1", "u:canaryPassword@nobody.invalid:1",
    ])
    func anUnusableProxyIsNotQuoted(_ url: String) async throws {
        let rule = ProxyRule.url(url)
        #expect(!"\(rule) \(String(reflecting: rule))".contains("Password"))
        let client = makeClient { $0.proxy = rule }
        defer { client.shutdown() }
        for target in ["http://example.invalid/", "https://example.invalid/"] {
            let error = await expectError(.proxy) { try await client.send(HTTPRequest(.post, target), body: .text("{}")) }
            Self.expectNoSecret(error)
        }
    }

    static func expectNoSecret(_ error: HTTPError?, sourceLocation: SourceLocation = #_sourceLocation) {
        let text = String(reflecting: error)
        for secret in ["canary", "Password", "ryPass", encoded] { #expect(!text.contains(secret), sourceLocation: sourceLocation) }
    }
}
