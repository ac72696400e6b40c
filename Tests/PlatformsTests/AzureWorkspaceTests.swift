import Replication
import Testing

@testable import Platforms

@Suite struct AzureWorkspaceTests {
    private static let scope = "/subscriptions/0-1/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/ws"
    private static let uri = "azureml://westeurope.api.azureml.ms/mlflow/v1.0" + scope

    @Test(arguments: ["", "/"]) func anAddressIsTakenApart(_ end: String) throws {
        let workspace = try AzureWorkspace(uri: Self.uri + end)
        #expect(workspace.name == "ws" && workspace.scope == Self.scope)
        #expect(workspace.mlflowURL == "https://westeurope.api.azureml.ms/mlflow/v2.0" + Self.scope)
        #expect(workspace.historyURL == "https://westeurope.api.azureml.ms/history/v1.0" + Self.scope)
    }

    /// Through a private link, and as other tools spell it.
    @Test func twoAddressesOfOneAreOne() throws {
        let one = try AzureWorkspace(uri: Self.uri).identity
        let link = try AzureWorkspace(uri: "azureml://0-1.workspace.westeurope.api.azureml.ms/mlflow/v2.0" + Self.scope)
        let spelt = try AzureWorkspace(uri: Self.uri.replacing("resourceGroups/rg", with: "resourcegroups/RG"))
        #expect(link.identity == one && spelt.identity == one)
        #expect(try AzureWorkspace(uri: Self.uri + "2").identity != one)
        // By an address of one's own.
        let other = try AzureWorkspace(uri: "https://127.0.0.1:8443/mlflow/v1.0" + Self.scope)
        #expect(other.identity == one && other.mlflowURL == "https://127.0.0.1:8443/mlflow/v2.0" + Self.scope)
    }

    @Test(arguments: [
        "", "azureml://", "azureml://h", "http://h/mlflow/v1.0" + scope, "azureml://h/mlflow/v1.0" + scope + "/more",
        "azureml://h/mlflow/v1.0/subscriptions/0-1", "azureml://h/mlflow/v1.0" + scope + "?x=1",
        "azureml://user:canary@h/mlflow/v1.0" + scope,
        "azureml://h/mlflow/v1.0/subscriptions/../resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/ws",
        "azureml://h//mlflow/v1.0" + scope, "azureml://h/mlflow/v2.0/registries/all", "azureml://h/mlflow/v1.0" + scope + "\n",
        "azureml://h/history/v1.0" + scope,
    ]) func whatIsNoWorkspaceIsRefused(_ uri: String) {
        do {
            _ = try AzureWorkspace(uri: uri)
            Issue.record("\(uri) was taken")
        } catch {
            #expect(error.description.contains("expected azureml://HOST/mlflow/v1.0/subscriptions/"), "\(error)")
            #expect(!error.description.contains("canary"), "\(error)")
        }
    }

    @Test func aRunsFilesAreFoundByTheirAddress() throws {
        let workspace = try AzureWorkspace(uri: Self.uri)
        let root = "azureml://westeurope.api.azureml.ms/mlflow/v2.0\(Self.scope)/experiments/e-1/runs/r-1/artifacts"
        for end in ["", "/", "/model/MLmodel"] {
            let owner = try #require(workspace.owner(ofRoot: root + end))
            #expect(owner.experiment == "e-1" && owner.run == RunID("r-1"))
        }
        #expect(workspace.owner(ofRoot: root.replacing("workspaces/ws", with: "workspaces/other")) == nil)
        #expect(workspace.owner(ofRoot: "azureml://h/mlflow/v2.0\(Self.scope)/experiments/e-1/runs/r-1") == nil)
        #expect(workspace.owner(ofRoot: "mlflow-artifacts:/0/r/artifacts") == nil)
    }
}
