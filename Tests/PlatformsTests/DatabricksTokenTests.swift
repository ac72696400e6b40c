import Curl
import Foundation
import Replication
import TestSupport
import Testing

@testable import Platforms

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
