import Glibc
import Replication
import TestSupport
import Testing

@testable import mlmirror

/// A service whose state file another process has.
@Suite struct FreeStateTests {
    private let folder: TemporaryFolder
    private let world = TestWorld()
    private let heard = Locked<[String]>([])
    init() throws { folder = try TemporaryFolder() }

    private func until(_ isSo: () -> Bool) async throws -> Bool {
        for _ in 0..<4000 {
            if isSo() { return true }
            try await Task.sleep(for: .milliseconds(5))
        }
        return false
    }

    private func session() -> Session {
        let heard = heard
        @Sendable func hear(_ text: String) { heard.withLock { $0.append(text) } }
        var session = world.session()
        // It looks three times while it is to be fed once.
        session.manager = ServiceLink(
            ready: { hear("ready") }, status: { hear($0) }, reloading: { hear("reloading") }, stopping: { hear("stopping") },
            feedWatchdog: { hear("fed") },
            watchdogSeconds: 0.15)
        return session
    }

    private func run(_ session: Session, _ body: (_ hangUp: () -> Void) async throws -> Void) async throws -> Status? {
        let arguments = ["run", "--primary", "http://a", "--secondary", "http://b", "--state", folder.file("s.db")]
        let ended = Locked<Status?>(nil)
        let work = Task<Void, Never> {
            let status = await Program.run(arguments, in: session)
            ended.withLock { $0 = status }
        }
        do { try await body { session.signals.take(SIGHUP, work) {} } } catch { Issue.record(error) }
        // A second signal that asks for an end would end the tests.
        if session.signals.received == nil { session.signals.take(SIGTERM, work) {} }
        await work.value
        return ended.withLock { $0 }
    }

    private var waits: Bool { heard.withLock { $0.contains { $0.hasPrefix("waiting: ") } && $0.count { $0 == "fed" } > 2 } }

    @Test func itWaitsUntilTheFileIsFree() async throws {
        let owner = try ReplicationState.open(path: folder.file("s.db"))
        let status = try await run(session()) { _ in
            #expect(try await until { waits }, "\(world.complained)")
            try owner.close()
            #expect(try await until { heard.withLock { $0.contains("ready") } }, "\(world.complained)")
        }
        #expect(status == .ok)
        #expect(world.complained.components("in use by another mlmirror").count == 2, "it is said once")
        #expect(world.complained.contains(MirrorEvent.stateBlocked.message))
    }

    @Test func itEndsAtOnceAmidTheWaiting() async throws {
        let owner = try ReplicationState.open(path: folder.file("s.db"))
        let status = try await run(session()) { _ in
            let hasWaited = try await until { waits }
            #expect(hasWaited, "\(world.complained)")
        }
        #expect(status == .ok)
        #expect(heard.withLock { $0.contains("stopping") })
        try owner.close()
    }

    @Test func aReloadAmidTheWaitingEndsNothing() async throws {
        let owner = try ReplicationState.open(path: folder.file("s.db"))
        let status = try await run(session()) { hangUp in
            #expect(try await until { waits }, "\(world.complained)")
            hangUp()
            try owner.close()
            #expect(try await until { world.complained.contains("configuration read again") }, "\(world.complained)")
            #expect(try await until { heard.withLock { $0.contains("ready") } }, "\(world.complained)")
        }
        #expect(status == .ok)
    }

    /// Units that wait for this one would start.
    @Test func aReloadBeforeTheFirstAnswersMakesNobodyReady() async throws {
        let isAway = Locked(true)
        world.primary.setFault { _ in isAway.withLock { $0 } ? .unreachable : nil }
        let status = try await run(session()) { hangUp in
            let isAwaySaid = try await until { world.complained.contains("store is away") }
            #expect(isAwaySaid, "\(world.complained)")
            hangUp()
            let wasReadAgain = try await until { world.complained.contains("configuration read again") }
            #expect(wasReadAgain, "\(world.complained)")
            #expect(heard.withLock { !$0.contains("ready") && !$0.contains("reloading") })
            isAway.withLock { $0 = false }
            let isReady = try await until { heard.withLock { $0.contains("ready") } }
            #expect(isReady, "\(world.complained)")
        }
        #expect(status == .ok)
    }

    @Test func onACommandLineNobodyWaits() async throws {
        let owner = try ReplicationState.open(path: folder.file("s.db"))
        #expect(await world.run(["run", "--primary", "http://a", "--secondary", "http://b", "--state", folder.file("s.db")]) == .busy)
        try owner.close()
    }
}
