import Glibc
import Replication
import TestSupport
import Testing

@testable import mlmirror

/// A daemon whose configuration is changed amid its work.
@Suite struct ReloadTests {
    private let folder: TemporaryFolder
    private let world = TestWorld()
    private let other = FakeStore(name: "other")
    init() throws { folder = try TemporaryFolder() }

    private func configure(primary: String = "{ uri: 'http://a' }", secondary: String = "http://b", _ more: String = "") throws {
        try folder.write(
            "m.yaml", "primary: \(primary)\nsecondary: { uri: '\(secondary)' }\nstate: s.db\nlive: { cycle_seconds: 1 }\n\(more)")
    }

    private func until(_ isSo: () async throws -> Bool) async throws -> Bool {
        for _ in 0..<4000 {
            if try await isSo() { return true }
            try await Task.sleep(for: .milliseconds(5))
        }
        return false
    }

    private func said(_ text: String, times: Int) async throws -> Bool {
        try await until { world.complained.components(text).count - 1 == times }
    }

    /// What is made on the primary now arrives.
    private func follows(_ name: String) async throws -> Bool {
        _ = try await world.primary.createExperiment(name: name, tags: [])
        return try await until { try await world.secondary.experiment(named: name) != nil }
    }

    /// Runs a daemon while `body` does things to it.
    private func running(_ body: (_ reload: () -> Void) async throws -> Void) async throws {
        try configure()
        var session = world.session()
        session.openStore = { [world, other] settings in
            let address = "\(settings.uri.value)"
            if address.contains("impossible") { throw ConfigurationError(settings.uri.origin, "such a store cannot be") }
            let store = settings.role == .primary ? world.primary : address.contains("other") ? other : world.secondary
            return OpenedStore(store: store, version: { "3.17.2" }, requestCount: { 0 }, close: {})
        }
        let (arguments, started, ended) = (["run", "--config", folder.file("m.yaml")], session, Locked<Status?>(nil))
        let work = Task<Void, Never> {
            let status = await Program.run(arguments, in: started)
            ended.withLock { $0 = status }
        }
        do {
            #expect(try await follows("first"), "\(world.complained)")
            try await body { started.signals.take(SIGHUP, work) {} }
        } catch {
            Issue.record(error)
        }
        started.signals.take(SIGTERM, work) {}
        await work.value
        #expect(ended.withLock { $0 } == .ok, "\(world.complained)")
    }

    @Test(arguments: [
        ("{ uri: 'http://a', feed: triggers }", "http://b", "triggers need a database"),
        ("{ uri: 'http://a' }", "http://impossible", "such a store cannot be"),
        ("{ uri: 'http://a' }", "http://other", "it belongs to another secondary"),
    ]) func whatCannotBeUsedIsRefused(primary: String, secondary: String, why: String) async throws {
        try await running { reload in
            try configure(primary: primary, secondary: secondary)
            reload()
            #expect(try await said("configuration refused", times: 1), "\(world.complained)")
            #expect(world.complained.contains(why), "\(world.complained)")
            #expect(!world.complained.contains("configuration read again"))
            #expect(try await follows("second"), "\(world.complained)")
            try configure("window: 3\n")
            reload()
            #expect(try await said("configuration read again", times: 1), "\(world.complained)")
            #expect(try await follows("third"), "\(world.complained)")
        }
    }

    /// It was away when the configuration was read.
    @Test func whoTurnsOutToBeAnotherOneIsRefusedThen() async throws {
        let isAway = Locked(true)
        other.setFault { _ in isAway.withLock { $0 } ? .unreachable : nil }
        try await running { reload in
            try configure(secondary: "http://other")
            reload()
            #expect(try await said("configuration read again", times: 1), "\(world.complained)")
            isAway.withLock { $0 = false }
            #expect(try await said("configuration refused", times: 1), "\(world.complained)")
            #expect(world.complained.contains("it belongs to another secondary"), "\(world.complained)")
            #expect(try await follows("second"), "\(world.complained)")
            // Nobody has asked again.
            #expect(try await said("configuration refused", times: 1), "\(world.complained)")
            try configure("window: 3\n")
            reload()
            #expect(try await said("configuration read again", times: 2), "\(world.complained)")
            #expect(try await follows("third"), "\(world.complained)")
        }
    }
}
