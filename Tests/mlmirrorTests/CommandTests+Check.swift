import Foundation
import Replication
import TestSupport
import Testing

@testable import mlmirror

/// What `check` finds.
extension CommandTests {
    @Test("check goes through every step, and ends with the first failure's code")
    func checks() async throws {
        try await world.fill()
        #expect(await mlmirror("check") == .ok)
        #expect(world.printed.split(separator: "\n").count == 9)
        #expect(world.printed.contains("ok       scope                 nothing was copied yet\n"), "\(world.printed)")
        #expect(world.printed.contains("ok       primary               http://a:5000, MLflow 3.17.2\n"), "\(world.printed)")
        #expect(world.printed.contains("2 experiments and 0 registered models can be listed, a run can be read; writing is not tried"))
        #expect(try FolderMaker.list(folder.path).isEmpty, "it makes no state file")
        #expect(world.secondary.writes.isEmpty)

        world.secondary.setFault { _ in .before(StoreError(.stop, .unauthorized, "who are you?")) }
        #expect(await mlmirror("check", ["--json"]) == .refused)
        let object = try #require(FolderMaker.object(world.printed))
        #expect(object["exit_code"] as? Int == 77)
        let steps = try #require(object["steps"] as? [[String: Any]])
        #expect(steps.compactMap { $0["result"] as? String } == ["ok", "ok", "ok", "ok", "ok", "failed", "skipped", "skipped", "ok"])
    }

    @Test("check names the experiment that is closed, of many")
    func closedExperiment() async throws {
        try await world.fill()
        let closed = try await world.primary.createExperiment(name: "closed", tags: []).rawValue
        world.primary.setFault { operation in
            guard operation.name == "runs", operation.target.split(separator: ",").contains(Substring(closed)) else { return nil }
            return .before(StoreError(.setAside, .forbidden, "403 for \(operation.target)"))
        }
        #expect(await mlmirror("check") != .ok)
        #expect(world.printed.contains("403 for \(closed)\n"), "\(world.printed)")
    }

    @Test("check --offline asks nobody; --show-config prints sources and no secret")
    func offline() async throws {
        world.primary.setFault { _ in .unreachable }
        world.secondary.setFault { _ in .unreachable }
        #expect(await mlmirror("check", ["--offline", "--show-config"], ["MLMIRROR_PRIMARY_TOKEN": "shibboleth"]) == .ok)
        #expect(world.printed.contains("primary.auth.token"))
        #expect(world.printed.contains("environment MLMIRROR_PRIMARY_TOKEN"))
        #expect(world.printed.contains("********"))
        #expect(!world.printed.contains("shibboleth") && !world.complained.contains("shibboleth"))
        #expect(await mlmirror("check") == .unreachable)
    }

    @Test("check --offline finds what would keep a store or the feed from being opened")
    func offlineFaults() async {
        #expect(await mlmirror("check", ["--offline"], ["MLMIRROR_FEED": "triggers"]) == .configuration)
        #expect(world.printed.contains("primary.feed: triggers need a database"), "\(world.printed)")
        var session = world.session()
        let only = world.primary
        session.openStore = { settings in
            guard settings.role == .primary else { throw ConfigurationError(settings.uri.origin, "such a store cannot be") }
            return OpenedStore(store: only, version: { nil }, requestCount: { 0 }, close: {})
        }
        let arguments = ["check", "--offline", "--primary", "http://a", "--secondary", "http://b", "--state", state]
        #expect(await Program.run(arguments, in: session) == .usage)
        #expect(world.printed.contains("failed   secondary"), "\(world.printed)")
    }

    @Test("check finds that both addresses lead to one server")
    func sameServer() async throws {
        var session = world.session()
        let only = world.primary
        session.openStore = { _ in OpenedStore(store: only, version: { nil }, requestCount: { 0 }, close: {}) }
        for command in ["check", "backfill"] {
            let arguments = [command, "--primary", "http://a", "--secondary", "http://alias", "--state", state]
            #expect(await Program.run(arguments, in: session) == .configuration)
        }
        #expect(only.writes.isEmpty)
    }
}
