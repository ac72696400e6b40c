import Foundation
import Glibc
import Replication
import TestSupport
import Testing

@testable import Platforms

/// One emulated workspace for a suite.
struct EmulatedWorkspace: SuiteTrait, TestTrait, TestScoping {
    @TaskLocal static var current: AzureMLEmulator?

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        let emulator = try await AzureMLEmulator.start()
        try await Self.$current.withValue(emulator) { try await function() }
        emulator.stop()
    }

    static func connection(_ change: (inout [String: String]) -> Void = { _ in }) throws -> AzureMLConnection {
        let emulator = try #require(current)
        var environment = emulator.environment
        change(&environment)
        return try AzureMLConnection(try AzureWorkspace(uri: emulator.url), token: nil, environment: environment)
    }
}

extension Trait where Self == EmulatedWorkspace {
    static var emulatedWorkspace: Self { EmulatedWorkspace() }
}

@Suite(.needsServer, .emulatedWorkspace) struct AzureMLConformanceTests {
    @Test(arguments: StoreConformance.cases) func conforms(_ test: StoreConformance.Case) async throws {
        let connection = try EmulatedWorkspace.connection()
        defer { connection.close() }
        try await test.run(connection.store)
    }
}

/// One after the other: the faults of a workspace are for all who use it.
@Suite(.needsServer, .emulatedWorkspace, .serialized) struct AzureMLFaultTests {
    private struct Bench: Sendable {
        let emulator: AzureMLEmulator
        let connection: AzureMLConnection
        let owner: ArtifactOwner
        var store: MLflowStore { connection.store }
    }

    private func with(_ body: (Bench) async throws -> Void) async throws {
        let emulator = try #require(EmulatedWorkspace.current)
        try await emulator.control("DELETE", "/faults")
        let connection = try EmulatedWorkspace.connection()
        defer { connection.close() }
        let experiment = try await connection.store.createExperiment(name: StoreConformance.fresh("faults"), tags: [])
        let run = try await connection.store.createRun(
            NewRun(experiment: experiment, name: "r", userID: "u", startTime: 1, tags: []))
        try await body(Bench(emulator: emulator, connection: connection, owner: ArtifactOwner(.run(run.id), root: run.artifactURI)))
    }

    /// So many megabytes, each of its own; `between` is told the number of each.
    private func stream(megabytes: Int, _ between: @escaping @Sendable (Int) async throws -> Void = { _ in }) -> ByteStream {
        let at = Locked(0)
        return ByteStream {
            let number = at.withLock { at in
                defer { at += 1 }
                return at
            }
            guard number < megabytes else { return nil }
            try await between(number)
            return [UInt8](repeating: UInt8(number & 255), count: 1 << 20)
        }
    }

    private func check(_ bench: Bench, _ path: String, megabytes: Int) async throws {
        let expected = stream(megabytes: megabytes)
        let isSame = try await bench.store.readArtifact(path, of: bench.owner) { source in
            var held: [UInt8] = []
            while let block = try await expected.next() {
                while held.count < block.count, let chunk = try await source.next() { held += chunk }
                let isSame = held.count >= block.count && held.withUnsafeBytes { memcmp($0.baseAddress!, block, block.count) == 0 }
                guard isSame else { return false }
                held.removeFirst(block.count)
            }
            let rest = try await source.next()
            return held.isEmpty && rest == nil
        }
        #expect(isSame, "\(path)")
    }

    @Test func anAddressThatEndsAmidAFileIsAskedForAgain() async throws {
        try await with { bench in
            let emulator = bench.emulator
            let source = stream(megabytes: 100) { number in
                if number == 20 || number == 99 { try await emulator.control("POST", "/sas/expire") }
            }
            try await bench.store.writeArtifact("big/a.bin", size: 100 << 20, to: bench.owner, source)
            try await check(bench, "big/a.bin", megabytes: 100)
        }
    }

    @Test func aTokenThatIsEndedIsRenewedAndTheRequestSentOnceMore() async throws {
        try await with { bench in
            guard case .run(let run) = bench.owner.id else { return }
            for number in 0..<3 {
                try await bench.emulator.control("POST", "/tokens/expire")
                let row = MetricRow(key: "m", point: MetricPoint(value: 1, timestamp: Int64(number), step: 0))
                try await bench.store.logBatch(RunBatch(metrics: [row]), toRun: run)
            }
            // Once each: the workspace keeps what is sent twice twice.
            #expect(try await StoreConformance.history(bench.store, run, "m").count == 3)
        }
    }

    @Test func whatWasDeclaredAndNeverCameIsWritten() async throws {
        try await with { bench in
            try await bench.emulator.control(
                "POST", "/faults", #"{"errors": {"match": "dcid.*sig=", "method": "PUT", "count": 1, "status": 500}}"#)
            let content = Array("content".utf8)
            await #expect(throws: StoreError.self) { try await StoreConformance.write(bench.store, "a/b.txt", content, bench.owner) }
            // It is listed by the service, and is no file.
            #expect(try await StoreConformance.tree(bench.store, bench.owner) == [:])
            try await StoreConformance.write(bench.store, "a/b.txt", content, bench.owner)
            #expect(try await StoreConformance.read(bench.store, "a/b.txt", bench.owner) == content)
            #expect(try await StoreConformance.tree(bench.store, bench.owner) == ["a/b.txt": 7])
        }
    }

    @Test func aLostAnswerOfAFileIsInDoubtAndTheFileIsWrittenAgain() async throws {
        try await with { bench in
            for match in ["batch/metadata", "dcid.*sig="] {
                try await bench.emulator.control("POST", "/faults", "{\"lost_answers\": {\"match\": \"\(match)\", \"count\": 1}}")
                let path = match.prefix(4) + ".txt"
                await #expect(throws: StoreError.self) {
                    try await StoreConformance.write(bench.store, String(path), Array("one".utf8), bench.owner)
                }
                try await StoreConformance.write(bench.store, String(path), Array("one".utf8), bench.owner)
                #expect(try await StoreConformance.read(bench.store, String(path), bench.owner) == Array("one".utf8))
            }
        }
    }

    @Test func throttlingSaysHowLong() async throws {
        try await with { bench in
            guard case .run(let run) = bench.owner.id else { return }
            for (given, expected) in [("7", 7.0), ("null", nil)] {
                try await bench.emulator.control(
                    "POST", "/faults", "{\"throttle\": {\"match\": \"log-batch\", \"count\": 1, \"retry_after\": \(given)}}")
                do {
                    try await bench.store.logBatch(RunBatch(tags: [Tag("a", "b")]), toRun: run)
                    Issue.record("not throttled")
                } catch let error as StoreError {
                    #expect(error.reason == .throttled && error.decision == .retry(after: expected) && !error.isInDoubt)
                }
            }
        }
    }

    @Test func filesThatComeTogetherAreDeclaredTogetherAndABadOneAlone() async throws {
        try await with { bench in
            let long = String(repeating: "x/", count: 2600) + "y"
            let failed = Locked<[String]>([])
            try await bench.emulator.control("DELETE", "/requests")
            await withTaskGroup(of: Void.self) { group in
                for path in (0..<60).map({ "many/file \($0)" }) + [long] {
                    group.addTask {
                        do { try await StoreConformance.write(bench.store, path, Array(path.utf8), bench.owner) } catch {
                            failed.withLock { $0.append(path) }
                        }
                    }
                }
            }
            #expect(failed.withLock { $0 }.allSatisfy { $0 == long })
            #expect(try await StoreConformance.tree(bench.store, bench.owner, under: "many").count == 60)
            struct Request: Decodable { var path: String }
            let requests = try JSONDecoder().decode([Request].self, from: try await bench.emulator.control("GET", "/requests"))
            #expect(requests.count { $0.path.contains("batch/metadata") } < 40)
        }
    }

    @Test func noCredentialGoesWithABlobAndNoneIsInAnError() async throws {
        try await with { bench in
            // The emulator refuses a blob's request that bears one.
            try await StoreConformance.write(bench.store, "a.txt", Array("a".utf8), bench.owner)
            #expect(try await StoreConformance.read(bench.store, "a.txt", bench.owner) == Array("a".utf8))
            try await bench.emulator.control("POST", "/faults", #"{"errors": {"match": "sig=", "count": 10, "status": 503}}"#)
            do {
                try await StoreConformance.write(bench.store, "b.txt", Array("b".utf8), bench.owner)
                Issue.record("no error")
            } catch {
                #expect(!"\(error)".contains("sig=") && !"\(error)".lowercased().contains("bearer "), "\(error)")
            }
        }
    }
}
