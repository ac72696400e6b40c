import Curl
import Foundation
import Replication
import TestSupport
import Testing

@testable import Platforms

/// Files that the storage account of an Azure ML workspace fetches from another one.
@Suite struct StorageCopyTests {
    private static let scope = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
    private static let owner = ArtifactOwner(
        .run(RunID("r")), root: "azureml://h/mlflow/v2.0\(scope)/experiments/e/runs/r/artifacts")
    /// Four blocks, and one.
    private static let size: Int64 = 200 << 20
    private static let small: Int64 = 10 << 20

    private static func source(
        _ size: Int64 = StorageCopyTests.size,
        renew: @escaping @Sendable () async throws -> String? = { "https://source.example/a?sig=canary&n=1" }
    ) -> ArtifactCopySource {
        ArtifactCopySource(size: size, tag: "\"e\"", md5: nil, address: "https://source.example/a?sig=canary&n=1", renew: renew)
    }

    /// A workspace and its storage in one.
    ///
    /// - Parameters:
    ///   - size: that storage says a file has.
    ///   - fetch: answers where storage is to fetch a block.
    private func with(
        size: Int64 = StorageCopyTests.size, _ fetch: @escaping @Sendable (RawRequest, RawConnection) throws -> Void,
        _ body: (RunFiles, RawServer) async throws -> Void
    ) async throws {
        let declared = Locked<Set<String>>([])
        let server = try RawServer { connection in
            while true {
                let request = try connection.readRequest()
                let blobs = "http://" + (request.header("host") ?? "") + "/blob/"
                if request.target.hasSuffix("/batch/metadata") {
                    let path = try Self.path(inDeclaration: request.body)
                    let isNew = declared.withLock { $0.insert(path).inserted }
                    try connection.json(
                        isNew
                            ? "{\"artifactContentInformation\":{\"\(path)\":{\"contentUri\":\"\(blobs)\(path)?sig=canary\"}}}"
                            : "{\"errors\":{\"\(path)\":{\"message\":\"\(path) already exists\"}}}")
                } else if request.target.contains("/write?") || request.target.contains("/contentinfo?") {
                    let path = request.target.split(separator: "=").last ?? ""
                    try connection.json("{\"contentUri\":\"\(blobs)\(path)?sig=canary-again\"}")
                } else if request.method == "HEAD" {
                    try connection.write("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
                } else if request.header("x-ms-copy-source") != nil {
                    try fetch(request, connection)
                } else {
                    try connection.answer(201)
                }
            }
        }
        var configuration = HTTPClientConfiguration()
        configuration.proxy = .none
        let client = HTTPClient(configuration)
        defer {
            client.shutdown()
            server.stop()
        }
        let service = MLflowService(try MLflowEndpoint(uri: server.url), client: client)
        let files = RunFiles(
            try AzureWorkspace(uri: "azureml://h/mlflow/v1.0\(Self.scope)"), history: service, artifacts: service,
            blobs: BlobStore(client: client, failure: service.failure, timeout: 10, allowsHTTP: true))
        try await body(files, server)
    }

    private static func path(inDeclaration body: [UInt8]) throws -> String {
        struct Body: Decodable {
            struct Path: Decodable { var path: String }
            var paths: [Path]
        }
        return try JSONDecoder().decode(Body.self, from: Data(body)).paths[0].path
    }

    private static func refuse(_ connection: RawConnection, _ status: Int, _ code: String) throws {
        try connection.answer(status, ["x-ms-error-code: \(code)"])
    }

    private static func fetches(_ server: RawServer) -> [RawRequest] { server.requests.filter { $0.header("x-ms-copy-source") != nil } }

    @Test func blocksAreFetchedAndCommitted() async throws {
        try await with { _, connection in
            try connection.answer(201)
        } _: { files, server in
            let progress = Locked(0)
            let outcome = try await files.copyArtifact("a", to: Self.owner, from: Self.source()) { progress.withLock { $0 += 1 } }
            #expect(outcome == .copied)
            #expect(progress.withLock { $0 } == 4)
            let fetches = Self.fetches(server)
            let ranges = fetches.compactMap { $0.header("x-ms-source-range") }
            #expect(
                ranges.sorted() == [
                    "bytes=0-67108863", "bytes=134217728-201326591", "bytes=201326592-209715199", "bytes=67108864-134217727",
                ])
            for fetch in fetches {
                #expect(fetch.method == "PUT" && fetch.target.contains("comp=block&") && fetch.header("content-length") == "0")
                // The bytes of one and the same file, by its address alone.
                #expect(fetch.header("x-ms-source-if-match") == "\"e\"" && fetch.header("authorization") == nil)
            }
            let list = try #require(server.requests.first { $0.target.contains("comp=blocklist") })
            let ids = (0..<4).map { "<Latest>\(RunFiles.blockID($0))</Latest>" }.joined()
            #expect(String(decoding: list.body, as: UTF8.self).contains("<BlockList>\(ids)</BlockList>"))
            #expect(list.header("if-none-match") == "*")
            #expect(server.receivedBytes < 20_000)
        }
    }

    @Test(arguments: [
        (403, "CannotVerifyCopySource"), (409, "PublicAccessNotPermitted"), (400, "CannotVerifyCopySource"), (403, "AuthorizationFailure"),
    ])
    func whatIsRefusedIsWrittenAndNotAskedForAgain(_ status: Int, _ code: String) async throws {
        try await with { _, connection in
            try Self.refuse(connection, status, code)
        } _: { files, server in
            let first = try await files.copyArtifact("a", to: Self.owner, from: Self.source(Self.small), progress: {})
            guard case .refused(let why) = first else {
                Issue.record("\(first)")
                return
            }
            #expect(why.contains("HTTP \(status) \(code)") && !why.contains("canary") && !why.contains("sig="), "\(why)")
            // Where it was to go, as new as it was.
            try await files.writeArtifact("a", size: 5, to: Self.owner, ByteStream(Array("bytes".utf8)))
            let put = try #require(server.requests.last)
            #expect(put.target == "/blob/a?sig=canary" && put.header("if-none-match") == "*" && put.body == Array("bytes".utf8))
            let count = Self.fetches(server).count
            let second = try await files.copyArtifact("b", to: Self.owner, from: Self.source(Self.small), progress: {})
            #expect(second == .notTried)
            #expect(Self.fetches(server).count == count)
        }
    }

    /// It says nothing of other files.
    @Test(arguments: [(404, "CannotVerifyCopySource"), (412, "SourceConditionNotMet"), (416, "InvalidRange")])
    func aFileThatIsAnotherOneNowConcernsItselfAlone(_ status: Int, _ code: String) async throws {
        try await with(size: Self.small) { request, connection in
            if request.target.hasPrefix("/blob/a") { try Self.refuse(connection, status, code) } else { try connection.answer(201) }
        } _: { files, _ in
            let first = try await files.copyArtifact("a", to: Self.owner, from: Self.source(Self.small), progress: {})
            if case .refused = first {} else { Issue.record("\(first)") }
            let second = try await files.copyArtifact("b", to: Self.owner, from: Self.source(Self.small), progress: {})
            #expect(second == .copied)
        }
    }

    @Test func anAddressOfTheSourceThatEndsAmidAFileIsReplaced() async throws {
        let served = Locked(0)
        try await with { request, connection in
            let isOld = request.header("x-ms-copy-source")?.hasSuffix("n=1") == true
            let number = served.withLock { served in
                if isOld { served += 1 }
                return served
            }
            if isOld, number > 1 {
                try Self.refuse(connection, 403, "CannotVerifyCopySource")
            } else {
                try connection.answer(201)
            }
        } _: { files, server in
            let outcome = try await files.copyArtifact(
                "a", to: Self.owner, from: Self.source { "https://source.example/a?sig=canary&n=2" }, progress: {})
            #expect(outcome == .copied)
            #expect(Set(Self.fetches(server).compactMap { $0.header("x-ms-copy-source") }).count == 2)
        }
    }

    @Test func anAddressOfTheBlobThatEndsAmidAFileIsReplaced() async throws {
        try await with { request, connection in
            if request.target.contains("sig=canary-again") {
                try connection.answer(201)
            } else {
                try Self.refuse(connection, 403, "AuthenticationFailed")
            }
        } _: { files, server in
            let outcome = try await files.copyArtifact("a", to: Self.owner, from: Self.source(), progress: {})
            #expect(outcome == .copied)
            #expect(server.requests.first { $0.target.contains("comp=blocklist") }?.target.contains("sig=canary-again") == true)
        }
    }

    @Test func whatFailsInPassingIsAskedForAgain() async throws {
        let asked = Locked(0)
        try await with { _, connection in
            let number = asked.withLock { asked in
                asked += 1
                return asked
            }
            if number == 1 { try Self.refuse(connection, 503, "ServerBusy") } else { try connection.answer(201) }
        } _: { files, _ in
            let outcome = try await files.copyArtifact("a", to: Self.owner, from: Self.source(), progress: {})
            #expect(outcome == .copied)
        }
    }

    @Test func anotherSizeThanWasFetchedIsAFailure() async throws {
        try await with(size: Self.size - 1) { _, connection in
            try connection.answer(201)
        } _: { files, _ in
            await expectFailure(.truncated) {
                try await files.copyArtifact("a", to: Self.owner, from: Self.source(), progress: {})
            }
        }
    }

    @Test func aPairOfAccountsIsAskedAgainAfterAWhile() {
        let breaker = CopyBreaker()
        let (one, other) = (CopyBreaker.Accounts(from: "a", to: "b"), CopyBreaker.Accounts(from: "c", to: "b"))
        #expect(!breaker.isOpen(one, now: 5))
        breaker.open(one, now: 5)
        #expect(breaker.isOpen(one, now: 5) && breaker.isOpen(one, now: 4 + CopyBreaker.pause) && !breaker.isOpen(other, now: 5))
        #expect(!breaker.isOpen(one, now: 5 + CopyBreaker.pause))
    }

    // MARK: What a workspace of Databricks gives

    @Test(arguments: [
        ("AZURE_SAS_URI", "", true), ("AZURE_ADLS_GEN2_SAS_URI", "", true), ("AWS_PRESIGNED_URL", "", false),
        ("AZURE_SAS_URI", "{\"name\":\"x-given\",\"value\":\"v\"}", false),
    ])
    func onlyAFileOfAzureThatNeedsNoHeadersCanBeFetched(_ type: String, _ headers: String, _ can: Bool) async throws {
        let workspace = try Workspace { request, connection in
            if request.target.contains("credentials-for-read") {
                let url = "http://" + (request.header("host") ?? "") + "/storage/a?sig=canary"
                try connection.json(
                    "{\"credential_infos\":[{\"path\":\"a\",\"signed_uri\":\"\(url)\",\"headers\":[\(headers)],\"type\":\"\(type)\"}]}")
            } else if request.method == "HEAD" {
                try connection.write("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nETag: \"e\"\r\nContent-MD5: m\r\n\r\n")
            } else {
                return false
            }
            return true
        }
        try await workspace.with(["DATABRICKS_TOKEN": "canary-pat"]) { store in
            let source = try await store.copySource("a", of: ArtifactOwner(.run(RunID("r")), root: "dbfs:/x"))
            #expect((source != nil) == can)
            guard let source else { return }
            #expect(source.size == 7 && source.tag == "\"e\"" && source.md5 == "m")
            var dumped = ""
            dump(source, to: &dumped)
            #expect(!"\(source)\(dumped)".contains("canary"))
        }
    }

    /// One file has an address of each kind, and only a blob's can be fetched.
    @Test func aFileOfDataLakeIsFetchedAsABlob() {
        func copied(_ url: String) -> String? {
            SignedAddress(url: url, headers: [], askedAt: 0, isOfAzure: true).copied(allowsHTTP: false)
        }
        #expect(copied("https://a.dfs.core.windows.net/c/x.dfs.y?sig=s") == "https://a.blob.core.windows.net/c/x.dfs.y?sig=s")
        #expect(copied("https://a.blob.core.windows.net/c/x.dfs.y?sig=s") == "https://a.blob.core.windows.net/c/x.dfs.y?sig=s")
        #expect(copied("http://a.blob.core.windows.net/c/x?sig=s") == nil)
        #expect(copied("https://a.blob.core.windows.net/c/" + String(repeating: "x", count: 2048)) == nil)
    }
}
