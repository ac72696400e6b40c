import Foundation
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
