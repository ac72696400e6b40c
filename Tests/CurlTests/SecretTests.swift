import Curl
import TestSupport
import Testing

@Suite struct SecretTests {
    static let query =
        "?sv=1&sig=canarySig%3D&X-Amz-Credential=canaryAmz&%73ig=canaryEncoded&access_token=canaryToken;api-key=canaryKey#code=canaryCode"
    static let headers = [HTTPHeader("Authorization", "Bearer canaryBearer"), HTTPHeader("X-Management-Token", "canaryManagement")]

    @Test func noErrorTextHoldsASecret() async throws {
        let closing: @Sendable (RawConnection) throws -> Void = { connection in
            switch try connection.readRequest().target.prefix(3) {
            case "/re": try connection.answer(302, ["Location: http://u:canaryRedirect@10.0.0.1/\(Self.query)"])
            case "/ba": try connection.write("HTTP/1.1 200 OK\r\nContent-Length: token=canaryHeader\r\n\r\n")
            default: return
            }
        }
        try await withServer(closing) { server, client in
            let base = "u:canaryPassword@127.0.0.1"
            let urls = [
                "http://\(base):\(server.port)/close", "http://\(base):\(server.port)/redirect", "http://\(base):\(server.port)/bad",
                "http://\(base):\(try RawSocket.unusedPort())/", "https://\(base):\(server.port)/",
                "http://u:canaryPassword@nobody.invalid/",
                "ftp://\(base)/", "http://\(base):99999/", "http://\(base)/ space", "\(base)",
            ]
            for url in urls {
                let request = HTTPRequest(.get, url + Self.query, headers: Self.headers, timeouts: Timeouts(total: 2))
                let error = await #expect(throws: HTTPError.self) { try await client.send(request) }
                var dumped = ""
                dump(request, to: &dumped)
                let texts = ["\(String(describing: error))", String(reflecting: error), "\(request)", String(reflecting: request), dumped]
                for text in texts { #expect(!text.contains("canary"), "\(text)") }
            }
        }
    }

    @Test func aProxyPasswordStaysHidden() async throws {
        let script: @Sendable (RawConnection) throws -> Void = { connection in
            if try connection.readRequest().method == "CONNECT" {
                try connection.answer(407)
            } else {
                try connection.answer(body: Array("by proxy".utf8))
            }
        }
        try await withServer(script) { server, _ in
            let rule = ProxyRule.url("http://u:canary@127.0.0.1:\(server.port)")
            #expect(!"\(rule)".contains("canary"))
            let client = makeClient { $0.proxy = rule }
            let response = try await client.send(HTTPRequest(.get, "http://example.invalid/a"))
            #expect(response.body == Array("by proxy".utf8))
            #expect(server.requests[0].target == "http://example.invalid/a")
            #expect(server.requests[0].header("proxy-authorization") == "Basic dTpjYW5hcnk=")
            let error = await expectError(.proxy) {
                try await client.send(HTTPRequest(.post, "https://example.invalid/"), body: .text("{}"))
            }
            #expect(error?.description.contains("canary") == false)
            client.shutdown()
        }
    }

    @Test(arguments: [
        ("https://u:p@host/a/b?x=1&sig=abc&y=2#f", "https://***@host/a/b?x=1&sig=***&y=2#f"),
        ("https://host/a@b?run_id=1&page_token=zz", "https://host/a@b?run_id=1&page_token=***"),
        ("http://host", "http://host"), ("host?Signature=abc", "host?Signature=***"), ("http://a\r\nb", "http://a  b"),
    ])
    func urls(_ url: String, _ expected: String) { #expect(Redaction.url(url) == expected) }

    @Test(arguments: [
        ("GET https://u:p@h/?sig=1 failed", "GET https://***@h/?sig=*** failed"),
        ("Authorization: Basic dTpw, next", "Authorization: ***, next"),
        ("used Bearer abc.DEF-1 here", "used Bearer *** here"), ("basic authentication failed", "basic authentication failed"),
        (#"{"client_secret": "a b", "x": 1}"#, #"{"client_secret": "***", "x": 1}"#), ("password=hunter2&user=me", "password=***&user=me"),
        ("dapi0123456789abcdef0123456789abcdef", "***"), ("Could not resolve host: example.com", "Could not resolve host: example.com"),
        ("X-Amz-Security-Token: abc", "X-Amz-Security-Token: ***"), ("(https://h/?token=a)", "(https://h/?token=***)"),
    ])
    func texts(_ text: String, _ expected: String) { #expect(Redaction.text(text) == expected) }

    @Test(arguments: [
        "Authorization", "authorisation", "Proxy-Authorization", "auth", "X-Auth", "auth_token", "oauth", "oauth2", "basicAuth",
        "authHeader", "X-MS-AuthInfo", "authentication", "author_auth", "author%61uth", "author_token", "authority_key",
        "unauthorized_token", "runAuth",
    ])
    func credentials(_ name: String) {
        #expect(Redaction.text("\(name): shibboleth") == "\(name): ***")
        #expect(Redaction.url("http://h/?\(name)=shibboleth") == "http://h/?\(name)=***")
    }

    @Test(arguments: ["author", "Authors", "mlflow.coauthor", "authored_by", "authority", "author_of_authors", "UNAUTHENTICATED"])
    func noCredentials(_ name: String) {
        for text in ["\(name): jane, and more", "http://h/?\(name)=jane"] { #expect(Redaction.text(text) == text) }
    }

    @Test func theEnvironmentIsRead() {
        let read = HTTPClientConfiguration.fromEnvironment([
            "SSL_CERT_FILE": "/c", "REQUESTS_CA_BUNDLE": "/b", "MLFLOW_TRACKING_INSECURE_TLS": "True",
            "MLFLOW_TRACKING_CLIENT_CERT_PATH": "/k",
        ])
        #expect(read.caFile == "/b" && !read.verifiesTLS && read.clientCertificate == "/k" && read.proxy == .environment)
        let bare = HTTPClientConfiguration.fromEnvironment(["SSL_CERT_FILE": ""])
        #expect(bare.caFile == nil && bare.verifiesTLS && bare.clientCertificate == nil)
    }
}
