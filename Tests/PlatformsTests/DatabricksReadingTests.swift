import Curl
import Foundation
import Replication
import TestSupport
import Testing

@testable import Platforms

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

    @Test func aHostOfSeveralWorkspacesIsToldWhichOneIsMeant() async throws {
        let workspace = try Workspace()
        let host = workspace.server.url
        try await workspace.with(Self.pat.merging(["DATABRICKS_HOST": host + "/?o=77"]) { $1 }) { store in
            _ = try await store.experiments(nil)
            #expect(try await store.identity() == DatabricksWorkspace.identity("77"))
            #expect(
                workspace.asked.allSatisfy {
                    $0.header("x-databricks-org-id") == "77" && $0.header("x-databricks-workspace-id") == "77"
                })
        }
        // What answers is not what was meant.
        let other = try Workspace()
        try await other.with(Self.pat.merging(["DATABRICKS_WORKSPACE_ID": "78"]) { $1 }) { store in
            await expectFailure(.notMLflow) { try await store.identity() }
        }
        let plain = try Workspace()
        try await plain.with(Self.pat) { store in
            _ = try await store.identity()
            #expect(plain.asked.allSatisfy { $0.header("x-databricks-workspace-id") == nil })
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
    @Test(arguments: [false, true]) func versionsThatShiftUnderTheReadingAreListedAnew(_ readsUnityCatalog: Bool) async throws {
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
        try await workspace.with(Self.pat, readsUnityCatalog: readsUnityCatalog) { store in
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

    /// The list of Unity Catalog shows no alias: one that has moved is seen without a read of every model in every look.
    @Test func aLookAtManyModelsReadsFewOfThem() async throws {
        let (alias, update, reads) = (Locked(1), Locked(1), Locked(0))
        let workspace = try Workspace { request, connection in
            guard request.target.contains("unity-catalog") else { return false }
            if request.target.contains("search") {
                let models = (0..<30).map {
                    "{\"name\":\"a.b.m\($0)\",\"last_updated_timestamp\":\($0 == 29 ? update.withLock { $0 } : 1)}"
                }
                try connection.json("{\"registered_models\":[\(models.joined(separator: ","))]}")
            } else {
                reads.withLock { $0 += 1 }
                let name = request.target.drop { $0 != "=" }.dropFirst()
                let version = alias.withLock { $0 }
                try connection.json(
                    "{\"registered_model\":{\"name\":\"\(name)\",\"aliases\":[{\"alias\":\"x\",\"version\":\"\(version)\"}]}}")
            }
            return true
        }
        try await workspace.with(Self.pat, readsUnityCatalog: true) { store in
            func look() async throws -> (reads: Int, moved: Int, last: Int?) {
                reads.withLock { $0 = 0 }
                let models = try await store.glance(atRegisteredModels: nil).elements
                #expect(models.map(\.name.rawValue) == (0..<30).map { "a.b.m\($0)" })
                return (reads.withLock { $0 }, models.count { $0.aliases["x"] == 2 }, models.last?.aliases["x"])
            }
            #expect(try await look().reads == 30)
            // Every alias has moved, and one of them shows in the list.
            alias.withLock { $0 = 2 }
            update.withLock { $0 = 2 }
            let first = try await look()
            #expect(first.reads == 11 && first.moved == 11 && first.last == 2)
            #expect(try await look().moved == 21)
            #expect(try await look().moved == 30)
            // Who compares everything reads everything.
            reads.withLock { $0 = 0 }
            _ = try await store.registeredModels(nil)
            #expect(reads.withLock { $0 } == 30)
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
