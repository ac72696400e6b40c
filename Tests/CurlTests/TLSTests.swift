import Foundation
import TestSupport
import Testing

@testable import Curl

// One after the other: each server is a process of its own, and other tests measure time.
@Suite(.serialized) struct TLSTests {
    static func withTLSServer(_ options: [String] = [], _ body: (TLSServer) async throws -> Void) async throws {
        let server = try await TLSServer.start(options)
        defer { server.stop() }
        try await body(server)
    }

    /// What the server has seen of a request by a new client.
    static func ask(_ url: String, _ method: HTTPRequest.Method, _ configuration: HTTPClientConfiguration) async throws
        -> TLSServer.Seen
    {
        let client = makeClient {
            $0 = configuration
            $0.proxy = .none
        }
        defer { client.shutdown() }
        let response = try await client.send(HTTPRequest(method, url), body: method == .post ? .text("{}") : .none)
        #expect(response.status == 200)
        return try TLSServer.Seen(response.body)
    }

    static func trusting(_ caFile: String, clientCertificate: String? = nil) -> HTTPClientConfiguration {
        var configuration = HTTPClientConfiguration()
        configuration.caFile = caFile
        configuration.clientCertificate = clientCertificate
        return configuration
    }

    /// Shows that whatever was tried before never reached the server as a request.
    static func expectUnasked(_ server: TLSServer, clientCertificate: String? = nil) async throws {
        let seen = try await ask(server.url, .get, trusting(server.certificate, clientCertificate: clientCertificate))
        #expect(seen.number == 1)
    }

    @Test func anUnknownCertificateIsRefusedBeforeARequestLeaves() async throws {
        try await Self.withTLSServer { server in
            for method in [HTTPRequest.Method.get, .post] {
                let error = await expectError(.tls, isInDoubt: false) { try await Self.ask(server.url, method, HTTPClientConfiguration()) }
                #expect(error?.description.contains("certificate") == true)
                #expect(error?.description.contains("while connecting") == true)
            }
            // Another server's certificate is no better.
            await expectError(.tls) { try await Self.ask(server.url, .get, Self.trusting(server.clientCertificate)) }
            try await Self.expectUnasked(server)
        }
    }

    @Test func everyNameOfACAFileCounts() async throws {
        try await Self.withTLSServer { server in
            for name in ["MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"] {
                for path in [server.certificate, server.folder] {
                    let seen = try await Self.ask(server.url, .post, .fromEnvironment([name: path]))
                    #expect(seen.client == nil)
                }
            }
        }
    }

    @Test func anotherHostsCertificateIsRefused() async throws {
        try await Self.withTLSServer { server in
            let error = await expectError(.tls) {
                try await Self.ask("https://localhost:\(server.port)", .post, Self.trusting(server.certificate))
            }
            #expect(error?.description.contains("target host name 'localhost'") == true)
            try await Self.expectUnasked(server)
        }
    }

    @Test func insecureMeansAnyCertificateAndAnyName() async throws {
        try await Self.withTLSServer { server in
            for host in ["127.0.0.1", "localhost"] {
                let url = "https://\(host):\(server.port)"
                _ = try await Self.ask(url, .get, .fromEnvironment(["MLFLOW_TRACKING_INSECURE_TLS": "true"]))
                await expectError(.tls) { try await Self.ask(url, .get, .fromEnvironment(["MLFLOW_TRACKING_INSECURE_TLS": "false"])) }
            }
        }
    }

    @Test func aFileThatCannotBeUsedIsNamed() async throws {
        try await Self.withTLSServer { server in
            let garbage = server.folder + "/garbage"
            try Data("no certificate".utf8).write(to: URL(fileURLWithPath: garbage))
            for path in [server.folder + "/missing", garbage] {
                for configuration in [Self.trusting(path), Self.trusting(server.certificate, clientCertificate: path)] {
                    let error = await expectError(.tls) { try await Self.ask(server.url, .post, configuration) }
                    #expect(error?.description.contains(path) == true, "\(String(describing: error))")
                }
            }
            try await Self.expectUnasked(server)
        }
    }

    @Test func aClientCertificateIsSent() async throws {
        try await Self.withTLSServer(["--clients", "--tls12"]) { server in
            await expectError(.tls) { try await Self.ask(server.url, .post, Self.trusting(server.certificate)) }
            let seen = try await Self.ask(server.url, .get, Self.trusting(server.certificate, clientCertificate: server.clientCertificate))
            #expect(seen.number == 1)
            #expect(seen.client == "client")
        }
    }

    /// With TLS 1.3 the server judges the client's certificate when the client may already have sent its request.
    @Test func aMissingClientCertificateIsAnErrorWithTLS13() async throws {
        try await Self.withTLSServer(["--clients"]) { server in
            let error = await #expect(throws: HTTPError.self) { try await Self.ask(server.url, .get, Self.trusting(server.certificate)) }
            // The server's words are lost when it closes before the request is out.
            let isTold = error?.description.contains(" alert ") == true
            #expect(error?.kind == (isTold ? .tls : .reset), "\(String(describing: error))")
            try await Self.expectUnasked(server, clientCertificate: server.clientCertificate)
        }
    }

    @Test func manyRequestsShareOneConnection() async throws {
        let count = 20
        try await Self.withTLSServer(["--h2", "\(count)"]) { server in
            let client = makeClient { $0.caFile = server.certificate }
            defer { client.shutdown() }
            // None is answered before all are there, so they must be under way side by side.
            let seen = try await withThrowingTaskGroup(of: TLSServer.Seen.self) { group in
                for _ in 0..<count { group.addTask { try await TLSServer.Seen(client.send(HTTPRequest(.get, server.url)).body) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(seen.count == count)
            #expect(seen.allSatisfy { $0.connection == 1 && $0.number == 1 }, "\(seen)")
        }
    }

    @Test func wordsAboutTheClientsCertificateAreKnown() {
        for alert in ["tlsv13 alert certificate required", "tlsv1 alert unknown ca", "sslv3 alert bad certificate"] {
            let text = "OpenSSL SSL_read: OpenSSL/3.0.19: error:0A00045C:SSL routines::\(alert), errno 0"
            #expect(HTTPError.Kind.isCertificateRefused(text), "\(alert)")
        }
        for text in ["Recv failure: Connection reset by peer", "OpenSSL SSL_read: error:0A000126:SSL routines::unexpected eof, errno 0"] {
            #expect(!HTTPError.Kind.isCertificateRefused(text), "\(text)")
        }
    }
}
