import Curl
import Foundation
import Replication
import TestSupport
import Testing

@testable import Platforms

/// A workspace, its token endpoint and its storage in one: what a test does not answer itself is answered as by default.
private final class Workspace: Sendable {
    let server: RawServer
    let tokens = Locked(0)

    /// - Parameter answer: false: by default.
    init(_ answer: @escaping @Sendable (RawRequest, RawConnection) throws -> Bool = { _, _ in false }) throws {
        let tokens = tokens
        server = try RawServer { connection in
            while true {
                let request = try connection.readRequest()
                if try answer(request, connection) { continue }
                let route = request.target.prefix { $0 != "?" }
                let host = "http://" + (request.header("host") ?? "")
                if route.hasSuffix("oauth-authorization-server") {
                    try connection.json("{\"token_endpoint\":\"\(host)/oidc/v1/token\"}")
                } else if route.hasSuffix("/token") {
                    let number = tokens.withLock { count in
                        count += 1
                        return count
                    }
                    try connection.json("{\"access_token\":\"canary-\(number)\",\"token_type\":\"Bearer\",\"expires_in\":3600}")
                } else {
                    try connection.answer(200, ["Content-Type: application/json", "x-databricks-org-id: 77"], body: Array("{}".utf8))
                }
            }
        }
    }

    func connection(_ environment: [String: String], readsUnityCatalog: Bool = false) throws -> DatabricksConnection {
        let environment = ["DATABRICKS_HOST": server.url, "DATABRICKS_CONFIG_FILE": "/dev/null", "NO_PROXY": "127.0.0.1"].merging(
            environment
        ) { $1 }
        let variables = try DatabricksVariables(.standard, environment: environment)
        return try DatabricksConnection(
            host: variables.host, try DatabricksCredential(variables), variables, environment: environment, rateShare: 1,
            readsUnityCatalog: readsUnityCatalog)
    }

    func with(
        _ environment: [String: String], readsUnityCatalog: Bool = false, _ body: (MLflowStore) async throws -> Void
    ) async throws {
        let connection = try connection(environment, readsUnityCatalog: readsUnityCatalog)
        defer {
            connection.close()
            server.stop()
        }
        try await body(connection.store)
    }

    /// What was asked of the workspace itself.
    var asked: [RawRequest] { server.requests.filter { $0.target.contains("/api/2.0/mlflow/") } }
}

@Suite struct DatabricksTokenTests {
    private static let principal = ["DATABRICKS_CLIENT_ID": "c 1", "DATABRICKS_CLIENT_SECRET": "canary&secret"]

    @Test func aServicePrincipalGetsATokenOfTheWorkspace() async throws {
        let workspace = try Workspace()
        try await workspace.with(Self.principal) { store in
            for _ in 0..<3 { _ = try await store.experiments(nil) }
            let token = try #require(workspace.server.requests.first { $0.target == "/oidc/v1/token" })
            #expect(String(decoding: token.body, as: UTF8.self) == "grant_type=client_credentials&scope=all-apis")
            #expect(token.header("authorization") == "Basic " + Base64.encode(Array("c 1:canary&secret".utf8)))
            #expect(workspace.asked.compactMap { $0.header("authorization") } == Array(repeating: "Bearer canary-1", count: 3))
            #expect(workspace.tokens.withLock { $0 } == 1)
        }
    }

    /// A workspace answers 403 to a token that has ended.
    @Test func aTokenThatHasEndedIsRenewedOnce() async throws {
        let workspace = try Workspace { request, connection in
            guard request.header("authorization") == "Bearer canary-1" else { return false }
            try connection.json(#"{"error_code":"403","message":"Invalid access token. [ReqId: 1]"}"#, 403)
            return true
        }
        try await workspace.with(Self.principal) { store in
            _ = try await store.experiments(nil)
            #expect(workspace.asked.compactMap { $0.header("authorization") } == ["Bearer canary-1", "Bearer canary-2"])
        }
        let closed = try Workspace { request, connection in
            guard request.target.contains("/mlflow/") else { return false }
            try connection.json(#"{"error_code":"403","message":"Invalid access token."}"#, 403)
            return true
        }
        try await closed.with(["DATABRICKS_TOKEN": "canary-pat"]) { store in
            await expectFailure(.unauthorized) { try await store.experiments(nil) }
            #expect(closed.asked.count == 1)
        }
    }

    @Test func aTokenOfAnotherIssuerIsExchanged() async throws {
        let folder = try TemporaryFolder()
        try "canary-jwt\n".write(toFile: folder.file("jwt"), atomically: true, encoding: .utf8)
        let workspace = try Workspace()
        try await workspace.with(["DATABRICKS_OIDC_TOKEN_FILEPATH": folder.file("jwt"), "DATABRICKS_CLIENT_ID": "c"]) { store in
            _ = try await store.experiments(nil)
            let token = try #require(workspace.server.requests.first { $0.target == "/oidc/v1/token" })
            #expect(
                String(decoding: token.body, as: UTF8.self)
                    == "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=canary-jwt"
                    + "&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&scope=all-apis&client_id=c")
            #expect(token.header("authorization") == nil)
        }
    }

    @Test func aRefusedPrincipalIsToldOfWithoutItsSecret() async throws {
        let workspace = try Workspace { request, connection in
            guard request.target == "/oidc/v1/token" else { return false }
            try connection.json(#"{"error":"invalid_client","error_description":"Client authentication failed"}"#, 401)
            return true
        }
        try await workspace.with(Self.principal) { store in
            do {
                _ = try await store.experiments(nil)
                Issue.record("no failure")
            } catch let error as StoreError {
                #expect(error.reason == .unauthorized && error.decision == .stop)
                #expect(error.message.contains("check DATABRICKS_CLIENT_SECRET") && !error.message.contains("canary"), "\(error)")
            }
        }
    }

    @Test func azureIsAskedForTheWorkspacesOwnResource() async throws {
        let workspace = try Workspace()
        let environment = [
            "ARM_CLIENT_ID": "c", "ARM_CLIENT_SECRET": "canary-s", "ARM_TENANT_ID": "t", "AZURE_AUTHORITY_HOST": workspace.server.url,
            "DATABRICKS_AZURE_RESOURCE_ID": "/subscriptions/s/x",
            // These are of Azure ML.
            "AZURE_CLIENT_ID": "other", "AZURE_CLIENT_SECRET": "other", "AZURE_TENANT_ID": "other",
        ]
        try await workspace.with(environment) { store in
            _ = try await store.experiments(nil)
            let forms = workspace.server.requests.filter { $0.target == "/t/oauth2/v2.0/token" }.map {
                String(decoding: $0.body, as: UTF8.self)
            }
            #expect(forms.count == 2 && forms.allSatisfy { $0.contains("client_id=c&") && $0.hasSuffix("client_secret=canary-s") })
            #expect(forms[0].contains("scope=2ff814a6-3304-4ab8-85cb-cd0e6f879c1d%2F.default"))
            #expect(forms[1].contains("scope=https%3A%2F%2Fmanagement.core.windows.net%2F.default"))
            let request = try #require(workspace.asked.first)
            #expect(request.header("authorization") == "Bearer canary-1")
            #expect(request.header("x-databricks-azure-sp-management-token") == "canary-2")
            #expect(request.header("x-databricks-azure-workspace-resource-id") == "/subscriptions/s/x")
        }
    }

    @Test func theTenantIsTheOneThatTheWorkspaceRedirectsTo() async throws {
        let workspace = try Workspace { request, connection in
            guard request.target == "/aad/auth" else { return false }
            try connection.answer(302, ["Location: https://login.microsoftonline.com/t-9/oauth2/authorize?x=y"])
            return true
        }
        let environment = ["ARM_CLIENT_ID": "c", "ARM_CLIENT_SECRET": "canary", "AZURE_AUTHORITY_HOST": workspace.server.url]
        try await workspace.with(environment) { store in
            _ = try await store.experiments(nil)
            #expect(workspace.server.requests.contains { $0.target == "/t-9/oauth2/v2.0/token" })
        }
    }

    @Test func theTenantIsAskedForAgainWhereTheWorkspaceIsBusyAndOnceItIsKnownNever() async throws {
        let isBusy = Locked(true)
        let workspace = try Workspace { request, connection in
            guard request.target == "/aad/auth" else { return false }
            if isBusy.withLock({ $0 }) {
                try connection.answer(503, ["Retry-After: 3"])
            } else {
                try connection.answer(302, ["Location: https://login.microsoftonline.com/t-9/oauth2/authorize?x=y"])
            }
            return true
        }
        let environment = [
            "ARM_CLIENT_ID": "c", "ARM_CLIENT_SECRET": "canary", "AZURE_AUTHORITY_HOST": workspace.server.url,
            "DATABRICKS_AZURE_RESOURCE_ID": "/subscriptions/s/x",
        ]
        func asked() -> Int { workspace.server.requests.count { $0.target == "/aad/auth" } }
        try await workspace.with(environment) { store in
            do {
                _ = try await store.askingOnce.run(RunID("r"))
                Issue.record("no failure")
            } catch let error as StoreError {
                #expect(error.decision == .retry(after: 3) && error.reason == .serverFailure, "\(error)")
            }
            isBusy.withLock { $0 = false }
            let before = asked()
            _ = try await store.askingOnce.experiments(nil)
            #expect(asked() == before + 1)
        }
    }

    @Test func aManagedIdentityIsAskedAtTheMachine() async throws {
        let workspace = try Workspace()
        let environment = ["ARM_USE_MSI": "true", "ARM_CLIENT_ID": "c", "AZURE_POD_IDENTITY_AUTHORITY_HOST": workspace.server.url]
        try await workspace.with(environment) { store in
            _ = try await store.experiments(nil)
            let request = try #require(workspace.server.requests.first)
            #expect(
                request.target
                    == "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=2ff814a6-3304-4ab8-85cb-cd0e6f879c1d&client_id=c")
            #expect(request.header("metadata") == "true")
        }
    }
}

@Suite struct DatabricksReadingTests {
    private static let pat = ["DATABRICKS_TOKEN": "canary-pat"]

    @Test func aWorkspaceIsKnownByItsNumber() async throws {
        let one = try Workspace()
        var identities: [StoreIdentity] = []
        try await one.with(Self.pat) { identities.append(try await $0.identity()) }
        let other = try Workspace()
        try await other.with(Self.pat) { identities.append(try await $0.identity()) }
        #expect(identities[0] == identities[1])
        let silent = try Workspace { _, connection in
            try connection.json("{}")
            return true
        }
        try await silent.with(Self.pat) { store in await expectFailure(.notMLflow) { try await store.identity() } }
    }

    /// Behind what takes the header away, and with a host that has no number in its name.
    @Test func aWorkspaceThatIsReachedByAnotherNameIsTheSame() async throws {
        let publishes = Locked(true)
        func hidden() throws -> Workspace {
            try Workspace { request, connection in
                if request.target == "/.well-known/databricks-config", publishes.withLock({ $0 }) {
                    try connection.json(#"{"oidc_endpoint":"https://h/oidc","workspace_id":"77","cloud":"Azure"}"#)
                } else {
                    try connection.json("{}")
                }
                return true
            }
        }
        let workspace = try hidden()
        try await workspace.with(Self.pat) { store in
            #expect(try await store.identity() == DatabricksWorkspace.identity("77"))
            let asked = try #require(workspace.server.requests.last)
            #expect(asked.target == "/.well-known/databricks-config" && asked.header("authorization") == nil)
        }
        publishes.withLock { $0 = false }
        try await hidden().with(Self.pat.merging(["DATABRICKS_WORKSPACE_ID": "77"]) { $1 }) { store in
            let identity = try await store.identity()
            #expect(identity == DatabricksWorkspace.identity("77"))
        }
        try await hidden().with(Self.pat) { store in
            do {
                _ = try await store.identity()
                Issue.record("no failure")
            } catch let error as StoreError {
                #expect(error.decision == .stop && error.message.contains("set DATABRICKS_WORKSPACE_ID"), "\(error)")
            }
        }
    }

    @Test(arguments: [
        (403, #"{"error_code":"PERMISSION_DENIED","message":"no"}"#, StoreError.Reason.forbidden, StoreError.Decision.setAside),
        (403, "PERMISSION_DENIED: User does not have CAN_READ", .forbidden, .setAside),
        (429, #"{"error_code":"REQUEST_LIMIT_EXCEEDED","message":"m"}"#, .throttled, .retry(after: 7)),
        (429, #"{"error_code":"RESOURCE_EXHAUSTED","message":"m"}"#, .throttled, .retry(after: 7)),
        (503, #"{"error_code":"TEMPORARILY_UNAVAILABLE","message":"m"}"#, .serverFailure, .retry(after: 7)),
        (404, #"{"error_code":"ENDPOINT_NOT_FOUND","message":"No API found"}"#, .unsupported, .setAside),
        (502, "<!DOCTYPE html><html><body>not available</body></html>", .serverFailure, .retry(after: 7)),
        (400, #"{"error_code":"FEATURE_DISABLED","message":"off"}"#, .unsupported, .setAside),
    ]) func aRefusalCarriesItsDecision(
        _ status: Int, _ body: String, _ reason: StoreError.Reason, _ decision: StoreError.Decision
    ) async throws {
        let workspace = try Workspace { _, connection in
            try connection.answer(status, ["Retry-After: 7"], body: Array(body.utf8))
            return true
        }
        try await workspace.with(Self.pat) { store in
            do {
                _ = try await store.askingOnce.run(RunID("r"))
                Issue.record("no failure")
            } catch let error as StoreError {
                #expect(error.reason == reason && error.decision == decision, "\(error)")
                #expect(reason != .forbidden || error.message.contains("grant CAN READ on the experiment"), "\(error)")
            }
        }
    }

    @Test func whoIsNotOnTheAccessListIsToldSo() async throws {
        let workspace = try Workspace { _, connection in
            let text = "Source IP address: 203.0.113.7 is blocked by Databricks IP ACL for workspace: 77"
            try connection.json("{\"error_code\":403,\"message\":\"\(text)\"}", 403)
            return true
        }
        defer { workspace.server.stop() }
        // Nor does it get a token: its secret is as good as ever.
        for environment in [Self.pat, ["DATABRICKS_CLIENT_ID": "c", "DATABRICKS_CLIENT_SECRET": "canary"]] {
            let connection = try workspace.connection(environment)
            defer { connection.close() }
            do {
                _ = try await connection.store.askingOnce.run(RunID("r"))
                Issue.record("no failure")
            } catch let error as StoreError {
                #expect(error.message.contains("203.0.113.7") && error.message.contains("added to the IP access list"), "\(error)")
                #expect(error.reason == .unreachable && error.isRetriable, "\(error)")
            }
        }
    }

    @Test func whatAWorkspaceLacksIsNoFailure() async throws {
        let workspace = try Workspace { request, connection in
            if request.target.contains("registered-models") {
                try connection.json(#"{"error_code":"FEATURE_DISABLED","message":"off"}"#, 400)
            } else if request.target.contains("experiments/search"), String(decoding: request.body, as: UTF8.self).contains("order_by") {
                try connection.json(#"{"error_code":"INVALID_PARAMETER_VALUE","message":"order_by"}"#, 400)
            } else if request.target.contains("traces") {
                try connection.json(#"{"error_code":"ENDPOINT_NOT_FOUND","message":"none"}"#, 404)
            } else {
                return false
            }
            return true
        }
        try await workspace.with(Self.pat) { store in
            let models = try await store.registeredModels(nil).elements
            let uncopied = try await store.uncopied(in: [ExperimentID("1")]).merging(try await store.uncopiedModels()) { $1 }
            let histories = try await store.histories(of: [RunID("r")], metric: "m")
            #expect(models.isEmpty && uncopied.isEmpty && histories == nil)
            for _ in 0..<2 {
                let experiments = try await store.experiments(nil).elements
                #expect(experiments.isEmpty)
            }
            // Asked in each order once; and one look whether a workspace that lacks something has the rest.
            #expect(workspace.asked.count { $0.target.contains("experiments/search") } == 5)
        }
    }

    /// An order of those that are documented keeps pages from shifting where another one is refused.
    @Test func experimentsAreListedByNameWhereTheirIdsAreNoOrder() async throws {
        let workspace = try Workspace { request, connection in
            guard String(decoding: request.body, as: UTF8.self).contains("experiment_id ASC") else { return false }
            try connection.json(#"{"error_code":"INVALID_PARAMETER_VALUE","message":"order_by"}"#, 400)
            return true
        }
        try await workspace.with(Self.pat) { store in
            for _ in 0..<2 { _ = try await store.experiments(nil) }
            let bodies = workspace.asked.map { String(decoding: $0.body, as: UTF8.self) }
            #expect(bodies.count == 3 && bodies[1...].allSatisfy { $0.contains("name ASC") }, "\(bodies)")
        }
    }

    /// A new one holds back those after it; one that failed, or was given up, is left out.
    @Test(arguments: [(0.0, [1]), (7200.0, [1, 4])]) func aVersionThatIsPendingIsLeftForLater(_ age: Double, _ expected: [Int]) async throws
    {
        let created = Int64((Date().timeIntervalSince1970 - age) * 1000)
        let versions = [(1, "READY"), (2, "FAILED_REGISTRATION"), (3, "PENDING_REGISTRATION"), (4, "READY")].map {
            "{\"name\":\"m\",\"version\":\"\($0.0)\",\"status\":\"\($0.1)\",\"source\":\"dbfs:/x\",\"creation_timestamp\":\(created)}"
        }
        let workspace = try Workspace { request, connection in
            guard request.target.contains("model-versions/search") else { return false }
            // The newest first, whatever it is asked for, and in two pages.
            let isSecond = request.target.contains("page_token=more")
            let page = isSecond ? versions[..<2].reversed() : versions[2...].reversed()
            try connection.json("{\"model_versions\":[\(page.joined(separator: ","))]\(isSecond ? "" : ",\"next_page_token\":\"more\"")}")
            return true
        }
        try await workspace.with(Self.pat) { store in
            let page = try await store.versions(of: ModelName("m"), nil)
            #expect(page.elements.map(\.number) == expected && page.next == nil)
            // It is asked for again.
            #expect(store.unfinishedModels == (age == 0 ? [ModelName("m")] : []))
            // A column that the workspace does not know would be refused.
            #expect(workspace.asked.allSatisfy { !$0.target.contains("order_by") })
        }
    }

    /// One that moved to the first page while the second was read has pushed another one over their border, and is itself in neither.
    @Test func versionsThatShiftUnderTheReadingAreListedAnew() async throws {
        let workspace = try Workspace { request, connection in
            guard request.target.contains("model-versions/search") else { return false }
            let isSecond = request.target.contains("page_token=more")
            let versions = (isSecond ? [3, 1] : [4, 3]).map {
                "{\"name\":\"m\",\"version\":\"\($0)\",\"status\":\"READY\",\"source\":\"dbfs:/x\"}"
            }
            try connection.json(
                "{\"model_versions\":[\(versions.joined(separator: ","))]\(isSecond ? "" : ",\"next_page_token\":\"more\"")}")
            return true
        }
        try await workspace.with(Self.pat) { store in
            await expectFailure(.truncated) { try await store.versions(of: ModelName("m"), nil) }
        }
    }

    /// Listed, and closed: the others are read all the same. And where there is no Unity Catalog, none is copied in silence.
    @Test func aModelThatIsClosedKeepsNoOtherOneAway() async throws {
        let isThere = Locked(true)
        let workspace = try Workspace { request, connection in
            guard request.target.contains("unity-catalog") else { return false }
            if !isThere.withLock({ $0 }) {
                try connection.json(#"{"error_code":"ENDPOINT_NOT_FOUND","message":"none"}"#, 404)
            } else if request.target.contains("search") {
                try connection.json(#"{"registered_models":[{"name":"a.b.open"},{"name":"a.b.closed"}]}"#)
            } else if request.target.contains("closed") {
                try connection.json(#"{"error_code":"PERMISSION_DENIED","message":"no"}"#, 403)
            } else {
                try connection.json(#"{"registered_model":{"name":"a.b.open","aliases":[{"alias":"x","version":"1"}]}}"#)
            }
            return true
        }
        try await workspace.with(Self.pat, readsUnityCatalog: true) { store in
            let page = try await store.registeredModels(nil)
            #expect(page.elements.map(\.name.rawValue) == ["a.b.open"] && page.undecodable.map(\.id) == ["a.b.closed"])
            #expect(page.undecodable[0].reason.contains("EXECUTE"))
            isThere.withLock { $0 = false }
            await expectFailure(.unsupported) { try await store.registeredModels(nil) }
        }
    }

    /// What one registry holds is told of where the other one is copied: without a word it would be missing.
    @Test(arguments: [false, true]) func theRegistryThatIsNotCopiedIsCounted(_ readsUnityCatalog: Bool) async throws {
        let workspace = try Workspace { request, connection in
            guard request.target.contains("registered-models/search") else { return false }
            if request.target.contains("is_prompt") {
                try connection.json(#"{"error_code":"FEATURE_DISABLED","message":"off"}"#, 400)
            } else if request.target.contains("unity-catalog") {
                try connection.json(#"{"registered_models":[{"name":"a.b.c"},{"name":"a.b.d"}],"next_page_token":"more"}"#)
            } else {
                try connection.json(#"{"registered_models":[{"name":"m"}]}"#)
            }
            return true
        }
        try await workspace.with(Self.pat, readsUnityCatalog: readsUnityCatalog) { store in
            let uncopied = try await store.uncopiedModels()
            #expect(
                uncopied
                    == (readsUnityCatalog
                        ? ["registered models of the workspace's own registry (primary.registry: databricks)": 1]
                        : ["registered models of Unity Catalog (primary.registry: databricks-uc) (at least)": 2]))
            #expect(workspace.asked.count == (readsUnityCatalog ? 1 : 2))
        }
        let closed = try Workspace { request, connection in
            guard request.target.contains("registered-models/search") else { return false }
            try connection.json(#"{"error_code":"PERMISSION_DENIED","message":"no"}"#, 403)
            return true
        }
        try await closed.with(Self.pat, readsUnityCatalog: readsUnityCatalog) { store in
            let uncopied = try await store.uncopiedModels()
            #expect(uncopied.isEmpty)
        }
    }

    /// As databricks-sdk has it: 429 and 503 alike.
    @Test(arguments: [429, 503]) func whoNamesATimeIsLeftAloneForIt(_ status: Int) async throws {
        let count = Locked(0)
        let workspace = try Workspace { _, connection in
            let isFirst = count.withLock { count in
                count += 1
                return count == 1
            }
            guard isFirst else { return false }
            try connection.answer(status, ["Retry-After: 1"], body: Array(#"{"error_code":"TEMPORARILY_UNAVAILABLE","message":"m"}"#.utf8))
            return true
        }
        try await workspace.with(Self.pat) { store in
            await expectFailure(status == 429 ? .throttled : .serverFailure) { try await store.askingOnce.experiments(nil) }
            let start = ContinuousClock.now
            _ = try await store.askingOnce.experiments(nil)
            #expect(start.duration(to: .now) >= .seconds(0.8))
        }
    }

    @Test func aShareOfTheRatesIsNeverExceeded() {
        #expect(DatabricksRates.name(.get("/api/2.0/mlflow/runs/get", of: "")) == "others")
        #expect(DatabricksRates.name(.get("/api/2.0/mlflow/experiments/search?a=b", of: "")) == "experiments")
        var rate = AdaptiveRate(limit: 2.8)
        var now = 0.0
        var sent = 0
        while now < 100 {
            now += rate.turn(at: now)
            rate.wentWell(at: now)
            sent += 1
        }
        #expect((278...282).contains(sent))
        rate.wasRefused(at: now, after: 20)
        #expect(rate.turn(at: now) >= 20)
        #expect((rate.perSecond ?? .infinity) <= 2.8)
    }
}

/// Files by addresses that carry their own authority.
@Suite struct DatabricksFileTests {
    private static let owner = ArtifactOwner(.run(RunID("r")), root: "dbfs:/databricks/mlflow-tracking/1/r/artifacts")
    private struct Broken: Error {}
    private static let content = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 / 7) }

    /// Storage, behind a workspace that signs for it: `signed` counts the addresses.
    private func with(
        names: [String] = ["a"], root: String = "dbfs:/x",
        _ storage: @escaping @Sendable (RawRequest, RawConnection, _ number: Int) throws -> Void,
        _ body: (MLflowStore, Workspace) async throws -> Void
    ) async throws {
        let count = Locked(0)
        let workspace = try Workspace { request, connection in
            let host = "http://" + (request.header("host") ?? "")
            if request.target.hasPrefix("/storage/") {
                let number = request.target.split(separator: "=").last.flatMap { Int($0) } ?? 0
                try storage(request, connection, number)
            } else if request.target.contains("artifacts/list") {
                let files = names.map { "{\"path\":\"\($0)\",\"is_dir\":false,\"file_size\":300000}" }
                try connection.json("{\"root_uri\":\"\(root)\",\"files\":[\(files.joined(separator: ","))]}")
            } else if request.target.contains("credentials-for-read") {
                struct Body: Decodable { var path: [String] }
                let paths = try JSONDecoder().decode(Body.self, from: Data(request.body)).path
                let infos = paths.map { path in
                    let number = count.withLock { count in
                        count += 1
                        return count
                    }
                    return "{\"run_id\":\"r\",\"path\":\"\(path)\",\"signed_uri\":\"\(host)/storage/\(path)?sig=canary&n=\(number)\","
                        + "\"headers\":[{\"name\":\"x-given\",\"value\":\"v\"}],\"type\":\"AZURE_SAS_URI\"}"
                }
                try connection.json("{\"credential_infos\":[\(infos.joined(separator: ","))]}")
            } else {
                return false
            }
            return true
        }
        try await workspace.with(["DATABRICKS_TOKEN": "canary-pat"]) { try await body($0, workspace) }
    }

    /// Such a listing has one page, and does not say whether that was all.
    @Test(arguments: [
        ("dbfs:/Volumes/c/s/v/1", 1000, true), ("dbfs:///Volumes/c/s/v/1", 1000, true), ("dbfs:/Volumes/c/s/v/1", 999, false),
        ("dbfs:/databricks/mlflow-tracking/1", 1000, false),
    ])
    func aFolderOfAVolumeThatMayBeCutIsNotWhole(_ root: String, _ count: Int, _ isCut: Bool) async throws {
        try await with(names: (0..<count).map { "f\($0)" }, root: root) { _, connection, _ in
            try connection.answer(500, [], body: [])
        } _: { store, _ in
            let page = try await store.artifacts(of: Self.owner, under: "", nil)
            #expect(page.elements.count == count && page.undecodable.isEmpty != isCut, "\(page.undecodable)")
        }
    }

    private static func whole(_ connection: RawConnection) throws { try connection.answer(200, ["ETag: \"e\""], body: content) }

    @Test func storageIsToldWhatWasGivenAndNothingElse() async throws {
        try await with { _, connection, _ in
            try Self.whole(connection)
        } _: { store, workspace in
            #expect(try await StoreConformance.read(store, "a", Self.owner) == Self.content)
            let request = try #require(workspace.server.requests.last)
            #expect(request.header("x-given") == "v" && request.header("authorization") == nil && request.header("range") == nil)
        }
    }

    @Test func addressesAreAskedForTogether() async throws {
        let names = (0..<120).map { "f\($0)" }
        try await with(names: names) { _, connection, _ in
            try Self.whole(connection)
        } _: { store, workspace in
            _ = try await store.artifacts(of: Self.owner, under: "", nil)
            for name in names { #expect(try await StoreConformance.read(store, name, Self.owner).count == 300_000) }
            #expect(workspace.asked.count { $0.target.contains("credentials-for-read") } == 3)
        }
    }

    /// S3 and Google's storage say 400.
    @Test(arguments: [(401, StoreError.Reason.forbidden), (403, .forbidden), (400, .invalid)])
    func anAddressThatEndedIsReplacedOnce(_ status: Int, _ reason: StoreError.Reason) async throws {
        try await with { _, connection, number in
            if number == 1 {
                try connection.answer(status, body: Array("<Error>AuthenticationFailed</Error>".utf8))
            } else {
                try Self.whole(connection)
            }
        } _: { store, _ in
            let content = try await StoreConformance.read(store, "a", Self.owner)
            #expect(content == Self.content)
        }
        try await with { _, connection, _ in
            try connection.answer(status)
        } _: { store, workspace in
            await expectFailure(reason) { try await StoreConformance.read(store, "a", Self.owner) }
            #expect(workspace.asked.count { $0.target.contains("credentials-for-read") } == 2)
        }
    }

    /// The rest is read from where it broke, also by another address; never of another file.
    @Test(arguments: ["\"e\"", "\"other\""], [403, 400])
    func aBrokenDownloadGoesOnWhereItIsTheSameFile(_ tag: String, _ status: Int) async throws {
        try await with { request, connection, number in
            guard let range = request.header("range") else {
                try connection.write("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\nETag: \"e\"\r\n\r\n")
                try connection.write(Array(Self.content[..<100_000]))
                throw Broken()
            }
            if number == 1 { return try connection.answer(status) }
            let from = Int(range.dropFirst("bytes=".count).prefix { $0 != "-" }) ?? 0
            guard tag == "\"e\"" else { return try connection.answer(412) }
            try connection.answer(
                206, ["ETag: \(tag)", "Content-Range: bytes \(from)-299999/300000"], body: Array(Self.content[from...]))
        } _: { store, workspace in
            if tag == "\"e\"" {
                let content = try await StoreConformance.read(store, "a", Self.owner)
                #expect(content == Self.content)
                #expect(
                    workspace.server.requests.contains { $0.header("range") == "bytes=100000-299999" && $0.header("if-match") == "\"e\"" })
            } else {
                await expectFailure(.truncated) { try await StoreConformance.read(store, "a", Self.owner) }
            }
        }
    }

    @Test func noErrorHoldsAnAddress() async throws {
        for status in [400, 403, 404, 500, 503, 0] {
            try await with { _, connection, _ in
                if status == 0 { throw Broken() }
                try connection.answer(status, body: Array("/storage/a?sig=canary".utf8))
            } _: { store, _ in
                do {
                    _ = try await StoreConformance.read(store, "a", Self.owner)
                    Issue.record("no failure")
                } catch {
                    #expect(!"\(error)".contains("canary") && !"\(error)".contains("sig") && !"\(error)".contains("/storage/"), "\(error)")
                }
            }
        }
    }
}
