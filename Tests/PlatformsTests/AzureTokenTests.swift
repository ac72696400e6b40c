import Curl
import Foundation
import Replication
import TestSupport
import Testing

@testable import Platforms

/// A token endpoint that counts its tokens, and what it is asked with.
private final class TokenServer: Sendable {
    let server: RawServer
    let client: HTTPClient
    let seconds = Locked(1000.0)
    private let answers: Locked<(count: Int, failure: (status: Int, body: String)?)>

    /// - Parameter lasting: the life of its tokens, in seconds.
    init(lasting life: Int = 3600, delay: Double = 0) throws {
        let answers = Locked<(count: Int, failure: (status: Int, body: String)?)>((0, nil))
        self.answers = answers
        server = try RawServer { connection in
            while true {
                try connection.readRequest()
                if delay > 0 { connection.sleep(delay) }
                let (number, failure) = answers.withLock { answers in
                    answers.count += 1
                    return (answers.count, answers.failure)
                }
                if let failure {
                    try connection.json(failure.body, failure.status)
                } else {
                    try connection.json(
                        "{\"token_type\":\"Bearer\",\"expires_in\":\(life),\"ext_expires_in\":\(life),\"access_token\":\"canary-\(number)\"}"
                    )
                }
            }
        }
        var configuration = HTTPClientConfiguration()
        configuration.proxy = .none
        client = HTTPClient(configuration)
    }

    /// Answers that were decided on.
    var count: Int { answers.withLock { $0.count } }
    func fail(_ status: Int, _ body: String = "") { answers.withLock { $0.failure = (status, body) } }
    func succeed() { answers.withLock { $0.failure = nil } }

    func tokens(_ identity: AzureIdentity? = nil) throws -> BearerTokens {
        let seconds = seconds
        return BearerTokens(
            identity ?? .clientSecret(tenant: "t e", client: "c1", secret: "canary&secret"),
            cloud: try AzureCloud(["AZURE_AUTHORITY_HOST": server.url]), client: client, clock: { seconds.withLock { $0 } })
    }

    func stop() {
        client.shutdown()
        server.stop()
    }
}

extension BearerTokens {
    fileprivate var now: String? { get async throws { try await header()?.value } }
}

@Suite struct AzureTokenTests {
    @Test func oneIsGotForAllWhoWait() async throws {
        let server = try TokenServer(delay: 0.2)
        defer { server.stop() }
        let tokens = try server.tokens()
        try await withThrowingTaskGroup(of: String?.self) { group in
            for _ in 0..<50 { group.addTask { try await tokens.now } }
            for try await value in group { #expect(value == "Bearer canary-1") }
        }
        let request = try #require(server.server.requests.first)
        #expect(server.server.requests.count == 1)
        #expect(request.method == "POST" && request.target == "/t%20e/oauth2/v2.0/token")
        #expect(request.header("content-type") == "application/x-www-form-urlencoded")
        #expect(
            String(decoding: request.body, as: UTF8.self)
                == "grant_type=client_credentials&client_id=c1&scope=https%3A%2F%2Fmanagement.azure.com%2F.default"
                + "&client_secret=canary%26secret")
    }

    @Test func itIsRenewedWhileTheOldOneIsGood() async throws {
        let server = try TokenServer()
        defer { server.stop() }
        let tokens = try server.tokens()
        #expect(try await tokens.now == "Bearer canary-1")
        server.seconds.withLock { $0 += 3200 }
        #expect(try await tokens.now == "Bearer canary-1")
        #expect(server.server.requests.count == 1)
        // A renewal that fails costs nothing, and is not tried at every request.
        server.fail(500)
        server.seconds.withLock { $0 += 150 }
        for _ in 0..<20 { #expect(try await tokens.now == "Bearer canary-1") }
        while server.count < 2 { try await Task.sleep(for: .milliseconds(5)) }
        for _ in 0..<20 { #expect(try await tokens.now == "Bearer canary-1") }
        #expect(server.server.requests.count == 2)
        server.succeed()
        server.seconds.withLock { $0 += 60 }
        while try await tokens.now == "Bearer canary-1" { try await Task.sleep(for: .milliseconds(5)) }
        #expect(try await tokens.now == "Bearer canary-3")
    }

    @Test func oneThatEndedIsNotSent() async throws {
        let server = try TokenServer()
        defer { server.stop() }
        let tokens = try server.tokens()
        _ = try await tokens.now
        server.seconds.withLock { $0 += 3590 }
        server.fail(503)
        await expectFailure(.serverFailure) { try await tokens.now }
        server.succeed()
        #expect(try await tokens.now == "Bearer canary-3")
    }

    @Test(arguments: [
        (
            401, #"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.\r\nTrace ID: 1"}"#,
            StoreError.Reason.unauthorized, false
        ),
        (400, #"{"error":"unauthorized_client","error_description":"AADSTS700016: no such application"}"#, .unauthorized, false),
        (429, "", .throttled, true), (500, "<html>", .serverFailure, true), (410, "", .serverFailure, true),
        (200, "{\"token_type\":\"Bearer\"}", .malformed, true), (200, "<html>log in</html>", .malformed, true),
    ]) func aRefusalCarriesItsDecision(_ status: Int, _ body: String, _ reason: StoreError.Reason, _ isRetriable: Bool) async throws {
        let server = try TokenServer()
        defer { server.stop() }
        let tokens = try server.tokens()
        server.fail(status, body)
        do {
            _ = try await tokens.now
            Issue.record("no failure")
        } catch let error as StoreError {
            #expect(error.reason == reason && error.isRetriable == isRetriable, "\(error)")
            #expect(error.message.contains("service principal c1") && error.message.contains(server.server.url), "\(error)")
            #expect(!body.contains("AADSTS") || error.message.contains("AADSTS"), "\(error)")
            #expect(!"\(error)".contains("canary"), "\(error)")
        }
    }

    @Test func theMetadataServicesAreAskedTheirWay() async throws {
        let server = try TokenServer()
        defer { server.stop() }
        _ = try await server.tokens(.managed(endpoint: server.server.url + "/msi/token", header: "canary-h", client: "c2")).now
        _ = try await server.tokens(.machine(endpoint: server.server.url + "/", client: nil)).now
        let requests = server.server.requests
        #expect(
            requests.map(\.target) == [
                "/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fmanagement.azure.com&client_id=c2",
                "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com",
            ])
        #expect(requests.map { $0.header("x-identity-header") ?? $0.header("metadata") } == ["canary-h", "true"])
    }

    @Test func aWorkloadsFileIsReadEveryTime() async throws {
        let folder = try TemporaryFolder()
        let file = folder.file("assertion")
        let server = try TokenServer(lasting: 100)
        defer { server.stop() }
        let tokens = try server.tokens(.workload(tenant: "t", client: "c", file: file))
        await expectFailure(.unauthorized) { try await tokens.now }
        for text in ["one\n", "two\n"] {
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            _ = try await tokens.now
            server.seconds.withLock { $0 += 200 }
        }
        let bodies = server.server.requests.map { String(decoding: $0.body, as: UTF8.self) }
        #expect(bodies.count == 2)
        #expect(zip(bodies, ["one", "two"]).allSatisfy { $0.hasSuffix("&client_assertion=\($1)") }, "\(bodies)")
    }

    /// However long the service takes, who is told to end does; the others still get theirs.
    @Test func whoIsCancelledDoesNotWait() async throws {
        let server = try TokenServer(delay: 1.5)
        defer { server.stop() }
        let tokens = try server.tokens()
        let leaving = Task { try await tokens.now }
        let staying = Task { try await tokens.now }
        try await Task.sleep(for: .milliseconds(200))
        leaving.cancel()
        #expect(try await staying.value == "Bearer canary-1")
        #expect(server.server.requests.count == 1)

        let alone = try TokenServer(delay: 20)
        defer { alone.stop() }
        let others = try alone.tokens()
        let task = Task { try await others.now }
        try await Task.sleep(for: .milliseconds(200))
        let start = ContinuousClock.now
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(start.duration(to: .now) < .seconds(5))
    }

    @Test(arguments: [
        ([:], "the virtual machine's identity"),
        (["AZURE_CLIENT_ID": "c"], "the virtual machine's identity c"),
        (["AZURE_CLIENT_SECRET": "canary", "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"], "the service principal c and its secret"),
        (["AZURE_CLIENT_SECRET": "canary", "AZURE_TENANT_ID": "", "AZURE_CLIENT_ID": "c"], "AZURE_TENANT_ID is not; set"),
        (["AZURE_FEDERATED_TOKEN_FILE": "/f", "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"], "the workload identity c by /f"),
        (["AZURE_FEDERATED_TOKEN_FILE": "/f", "AZURE_TENANT_ID": "t"], "AZURE_CLIENT_ID is not; set"),
        (["IDENTITY_ENDPOINT": "http://i", "IDENTITY_HEADER": "canary"], "the managed identity"),
        (["IDENTITY_ENDPOINT": "http://i"], "IDENTITY_HEADER is not; set"),
        (["AZURE_CLIENT_CERTIFICATE_PATH": "/c", "AZURE_TENANT_ID": "t"], "AZURE_CLIENT_ID is not; set"),
        (
            [
                "AZURE_CLIENT_CERTIFICATE_PATH": "/c", "AZURE_CLIENT_CERTIFICATE_PASSWORD": "canary", "AZURE_TENANT_ID": "t",
                "AZURE_CLIENT_ID": "c",
            ], "the service principal c and its certificate in /c"
        ),
    ]) func theVariablesOfMicrosoftsClientsAreRead(_ environment: [String: String], _ expected: String) {
        let text: String
        do {
            let identity = try AzureIdentity(environment)
            text = "\(identity)"
            var dumped = ""
            dump(identity, to: &dumped)
            #expect(!dumped.contains("canary") && !"\(String(reflecting: identity))".contains("canary"))
        } catch {
            text = "\(error)"
        }
        #expect(text.contains(expected), "\(text)")
        #expect(!text.contains("canary"))
    }

    @Test func cloudsAreToldApart() throws {
        #expect(try AzureCloud([:]).authority == "https://login.microsoftonline.com")
        #expect(try AzureCloud(["AZUREML_CURRENT_CLOUD": "AzureUSGovernment"]).resource == "https://management.usgovcloudapi.net/")
        #expect(try AzureCloud(["AZURE_AUTHORITY_HOST": "login.example/"]).authority == "https://login.example")
        #expect(throws: AzureIdentity.Incomplete.self) { try AzureCloud(["AZUREML_CURRENT_CLOUD": "Moon"]) }
        // A secret is sent there.
        #expect(throws: AzureIdentity.Incomplete.self) { try AzureCloud(["AZURE_AUTHORITY_HOST": "http://login.example"]) }
    }
}

/// A store whose requests bear tokens that end.
@Suite struct AuthorizedStoreTests {
    /// The store takes tokens from `good` on, and lists what it was sent.
    private func withAuthorizedStore(
        good: Int, fixed: MLflowCredentials? = nil, _ body: (MLflowStore, RawServer, TokenServer) async throws -> Void
    ) async throws {
        let tokenServer = try TokenServer()
        let server = try RawServer { connection in
            while true {
                let request = try connection.readRequest()
                let number = request.header("authorization").flatMap { Int($0.dropFirst("Bearer canary-".count)) } ?? 0
                if number < good {
                    try connection.json(#"{"Error":{"Code":"UserError","Message":"token expired"},"error_code":"UNAUTHENTICATED"}"#, 401)
                } else if request.target.contains("experiments/create") {
                    try connection.json(#"{"experiment_id":"7"}"#)
                } else if request.target.contains("mlflow-artifacts") {
                    try connection.answer(200, ["Content-Disposition: attachment"], body: Array("bytes".utf8))
                } else {
                    try connection.json(#"{"metrics":[]}"#)
                }
            }
        }
        defer {
            server.stop()
            tokenServer.stop()
        }
        let store = MLflowStore(
            try MLflowEndpoint(uri: server.url), client: tokenServer.client, authorization: try fixed ?? tokenServer.tokens())
        try await body(store, server, tokenServer)
    }

    @Test func aRefusedTokenIsReplacedOnce() async throws {
        try await withAuthorizedStore(good: 2) { store, server, tokens in
            let created = try await store.createExperiment(name: "e", tags: [])
            #expect(created == ExperimentID("7"))
            #expect(server.requests.compactMap { $0.header("authorization") } == ["Bearer canary-1", "Bearer canary-2"])
            #expect(server.requests[0].body == server.requests[1].body)
            #expect(tokens.server.requests.count == 2)
        }
        try await withAuthorizedStore(good: 100) { store, server, _ in
            await expectFailure(.unauthorized) { try await store.createExperiment(name: "e", tags: []) }
            #expect(server.requests.count == 2)
        }
        try await withAuthorizedStore(good: 2, fixed: .bearer(token: "canary-1")) { store, server, _ in
            await expectFailure(.unauthorized) { try await store.createExperiment(name: "e", tags: []) }
            #expect(server.requests.count == 1)
        }
    }

    @Test func filesAndHistoriesToo() async throws {
        let owner = ArtifactOwner(.run(RunID("r")), root: "mlflow-artifacts:/0/r/artifacts")
        try await withAuthorizedStore(good: 2) { store, server, _ in
            let bytes = try await store.readArtifact("a.txt", of: owner) { stream in
                var all: [UInt8] = []
                while let chunk = try await stream.next() { all += chunk }
                return all
            }
            #expect(bytes == Array("bytes".utf8))
            #expect(server.requests.count == 2)
        }
        // What was read from elsewhere cannot be sent from here again: the caller begins anew.
        try await withAuthorizedStore(good: 2) { store, server, _ in
            let source = Locked<[[UInt8]]>([Array("bytes".utf8)])
            do {
                try await store.writeArtifact("a.txt", size: 5, to: owner, ByteStream { source.withLock { $0.popLast() } })
                Issue.record("no failure")
            } catch let error as StoreError {
                #expect(error.reason == .unauthorized && error.isRetriable && !error.isInDoubt, "\(error)")
            }
            source.withLock { $0 = [Array("bytes".utf8)] }
            try await store.writeArtifact("a.txt", size: 5, to: owner, ByteStream { source.withLock { $0.popLast() } })
            #expect(server.requests.last?.header("authorization") == "Bearer canary-2")
        }
    }
}
