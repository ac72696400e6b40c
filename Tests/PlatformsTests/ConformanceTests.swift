import Curl
import Platforms
import Replication
import TestSupport
import Testing

@Suite struct FakeStoreConformanceTests {
    @Test(arguments: StoreConformance.cases) func conforms(_ test: StoreConformance.Case) async throws {
        try await test.run(FakeStore(name: "conformance", pageSize: 3))
    }

    @Test(arguments: StoreConformance.cases) func conformsAsAzureML(_ test: StoreConformance.Case) async throws {
        try await test.run(FakeStore(name: "conformance", dialect: .azureML, pageSize: 3))
    }
}

@Suite(.needsServer, .realServer) struct MLflowConformanceTests {
    @Test(arguments: StoreConformance.cases) func conforms(_ test: StoreConformance.Case) async throws {
        let client = HTTPClient()
        defer { client.shutdown() }
        try await test.run(try RealServer.store(client))
    }
}
