import Foundation
import TestSupport
import Testing

@testable import Platforms

@Suite struct DatabricksVariablesTests {
    private static let profiles = """
        [DEFAULT]
        host = https://adb-1.2.azuredatabricks.net/
        token = canary-default

        # a comment
        [team]
        host: https://ADB-7.3.azuredatabricks.net
        client_id = c1
        client_secret = canary-team
        [bare]
        host = adb-9.9.azuredatabricks.net
        """

    /// Host and credential, or what is said of them.
    private func found(_ address: DatabricksAddress, _ environment: [String: String], file: String? = profiles) throws -> String {
        let folder = try TemporaryFolder()
        var environment = environment
        environment["DATABRICKS_CONFIG_FILE"] = folder.file("cfg")
        if let file { try file.write(toFile: folder.file("cfg"), atomically: true, encoding: .utf8) }
        do {
            let variables = try DatabricksVariables(address, environment: environment)
            let credential = try DatabricksCredential(variables)
            var dumped = "\(variables) \(String(reflecting: variables))"
            dump(variables, to: &dumped)
            dump(credential, to: &dumped)
            #expect(!dumped.contains("canary") && !String(reflecting: credential).contains("canary"))
            return "\(variables.host) \(credential)".replacingOccurrences(of: folder.path, with: "F")
        } catch {
            #expect(!error.description.contains("canary"), "\(error)")
            return error.description.replacingOccurrences(of: folder.path, with: "F")
        }
    }

    @Test(arguments: [
        (DatabricksAddress.standard, [:], "https://adb-1.2.azuredatabricks.net pat by token of profile DEFAULT in F/cfg"),
        (.profile("team"), [:], "https://adb-7.3.azuredatabricks.net oauth-m2m by client_secret of profile team in F/cfg"),
        (
            .standard, ["DATABRICKS_CONFIG_PROFILE": "team"],
            "https://adb-7.3.azuredatabricks.net oauth-m2m by client_secret of profile team in F/cfg"
        ),
        (.profile("none"), [:], "databricks://none: there is no profile [none] in F/cfg; it has DEFAULT, bare, team"),
        (.standard, ["DATABRICKS_HOST": "h.example", "DATABRICKS_TOKEN": "canary"], "https://h.example pat by DATABRICKS_TOKEN"),
        (
            .standard, ["DATABRICKS_HOST": "http://127.0.0.1:9/x/", "DATABRICKS_TOKEN": "canary"],
            "http://127.0.0.1:9 pat by DATABRICKS_TOKEN"
        ),
        // A host of the environment is never asked with a token of the file.
        (.standard, ["DATABRICKS_HOST": "h.example"], "nothing says who asks the workspace https://h.example: set DATABRICKS_TOKEN"),
        // Nor is a host of the file asked with a token of the environment, unless the profile is named.
        (
            .standard, ["DATABRICKS_TOKEN": "canary"],
            "no host of a workspace: DATABRICKS_TOKEN is set, so that no profile is read which is not named; set DATABRICKS_HOST, or name"
        ),
        (.standard, ["ARM_TENANT_ID": "t"], "no host of a workspace: ARM_TENANT_ID is set, so that no profile is read which is not named"),
        (.profile("DEFAULT"), ["DATABRICKS_TOKEN": "canary"], "https://adb-1.2.azuredatabricks.net pat by DATABRICKS_TOKEN"),
        (
            .profile("team"), ["DATABRICKS_TOKEN": "canary"],
            "more than one way to ask the workspace: pat by DATABRICKS_TOKEN, oauth-m2m by client_secret of profile team"
        ),
        (.profile("team"), ["DATABRICKS_HOST": "h.example"], "DATABRICKS_HOST names another workspace than host of profile team"),
        (.host("https://h.example"), ["DATABRICKS_TOKEN": "canary"], "https://h.example pat by DATABRICKS_TOKEN"),
        (
            .host("https://h.example"), ["DATABRICKS_TOKEN": "canary", "DATABRICKS_HOST": "other.example"],
            "DATABRICKS_TOKEN belongs to the workspace that DATABRICKS_HOST names, which is not https://h.example"
        ),
        (
            .host("https://h.example"), ["DATABRICKS_TOKEN": "canary", "DATABRICKS_HOST": "https://H.example/"],
            "https://h.example pat by DATABRICKS_TOKEN"
        ),
    ]) func placesAreFound(_ address: DatabricksAddress, _ environment: [String: String], _ expected: String) throws {
        let text = try found(address, environment)
        #expect(text.hasPrefix(expected), "\(text)")
    }

    @Test(arguments: [
        (["DATABRICKS_USERNAME": "u", "DATABRICKS_PASSWORD": "canary"], "basic by DATABRICKS_PASSWORD"),
        (["DATABRICKS_CLIENT_ID": "c", "DATABRICKS_CLIENT_SECRET": "canary"], "oauth-m2m by DATABRICKS_CLIENT_SECRET"),
        (["DATABRICKS_OIDC_TOKEN": "canary", "DATABRICKS_CLIENT_ID": "c"], "env-oidc by DATABRICKS_OIDC_TOKEN"),
        (["DATABRICKS_OIDC_TOKEN_ENV": "MINE", "MINE": "canary"], "env-oidc by MINE"),
        (["DATABRICKS_OIDC_TOKEN_FILEPATH": "/f"], "file-oidc by DATABRICKS_OIDC_TOKEN_FILEPATH"),
        (["DATABRICKS_OIDC_TOKEN_FILE": "/f"], "file-oidc by DATABRICKS_OIDC_TOKEN_FILE"),
        (["ARM_CLIENT_ID": "c", "ARM_CLIENT_SECRET": "canary", "ARM_TENANT_ID": "t"], "azure-client-secret by ARM_CLIENT_SECRET"),
        (["ARM_USE_MSI": "true"], "azure-msi by ARM_USE_MSI"),
        (["DATABRICKS_CLIENT_SECRET": "canary"], "DATABRICKS_CLIENT_SECRET is there, and client_id is not"),
        (
            ["DATABRICKS_TOKEN": "canary", "ARM_CLIENT_ID": "c", "ARM_CLIENT_SECRET": "canary"],
            "more than one way to ask the workspace: pat by DATABRICKS_TOKEN, azure-client-secret by ARM_CLIENT_SECRET; unset all but one"
        ),
        (
            [
                "DATABRICKS_TOKEN": "canary", "ARM_CLIENT_ID": "c", "ARM_CLIENT_SECRET": "canary",
                "DATABRICKS_AUTH_TYPE": "azure-client-secret",
            ],
            "azure-client-secret by ARM_CLIENT_SECRET"
        ),
        (
            ["DATABRICKS_TOKEN": "canary", "DATABRICKS_AUTH_TYPE": "oauth-m2m"],
            "DATABRICKS_AUTH_TYPE says oauth-m2m, and its secret is missing"
        ),
        (
            ["DATABRICKS_TOKEN": "canary", "DATABRICKS_AUTH_TYPE": "azure-cli"],
            "DATABRICKS_AUTH_TYPE: this version knows pat, basic, oauth-m2m"
        ),
        (
            ["AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "canary", "AZURE_TENANT_ID": "t"],
            "nothing says who asks the workspace https://h: AZURE_CLIENT_ID belongs to Azure ML. The Databricks store takes DATABRICKS_* or ARM_*"
        ),
    ]) func whoAsks(_ environment: [String: String], _ expected: String) throws {
        let text = try found(.standard, environment.merging(["DATABRICKS_HOST": "h"]) { own, _ in own })
        #expect(text.contains(expected), "\(text)")
    }

    /// As Databricks' own clients find it: what is named, what was switched to, DEFAULT.
    @Test(arguments: [
        (DatabricksAddress.standard, [:], "team", "https://adb-7.3.azuredatabricks.net oauth-m2m by client_secret of profile team"),
        (
            .standard, ["DATABRICKS_CONFIG_PROFILE": "DEFAULT"], "team",
            "https://adb-1.2.azuredatabricks.net pat by token of profile DEFAULT"
        ),
        (.profile("DEFAULT"), [:], "team", "https://adb-1.2.azuredatabricks.net pat by token of profile DEFAULT"),
        (.standard, ["DATABRICKS_HOST": "h.example", "DATABRICKS_TOKEN": "canary"], "team", "https://h.example pat by DATABRICKS_TOKEN"),
        (.standard, [:], "", "https://adb-1.2.azuredatabricks.net pat by token of profile DEFAULT"),
        (
            .standard, [:], "gone",
            "default_profile under [__settings__]: there is no profile [gone] in F/cfg; it has DEFAULT, bare, team"
        ),
        (
            .profile("__settings__"), [:], "team",
            "databricks://__settings__: there is no profile [__settings__] in F/cfg; it has DEFAULT, bare, team"
        ),
    ]) func whatWasSwitchedToIsTheProfile(
        _ address: DatabricksAddress, _ environment: [String: String], _ chosen: String, _ expected: String
    ) throws {
        let text = try found(address, environment, file: Self.profiles + "\n[__settings__]\ndefault_profile = \(chosen)\n")
        #expect(text.hasPrefix(expected), "\(text)")
    }

    /// Several workspaces may share a host: what a browser shows of one names it.
    @Test(
        arguments: [
            (DatabricksAddress.standard, ["DATABRICKS_HOST": "https://h.example/?o=12#mlflow"], "12"),
            (.standard, ["DATABRICKS_HOST": "h.example?workspace_id=12"], "12"),
            (.standard, ["DATABRICKS_HOST": "h.example/?o=12&w=a-b"], "a-b"),
            (.standard, ["DATABRICKS_HOST": "h.example/?o=twelve"], nil),
            (.standard, ["DATABRICKS_HOST": "h.example/?o=12", "DATABRICKS_WORKSPACE_ID": "13"], "13"),
            (.profile("shared"), [:], "5"),
            // Said for another workspace.
            (.host("https://h.example"), ["DATABRICKS_HOST": "other.example", "DATABRICKS_WORKSPACE_ID": "13"], nil),
            (.host("https://h.example"), ["DATABRICKS_WORKSPACE_ID": "13"], "13"),
            (.host("https://h.example"), ["DATABRICKS_HOST": "h.example/?o=12"], "12"),
        ] as [(DatabricksAddress, [String: String], String?)]) func theWorkspaceOfASharedHostIsKept(
            _ address: DatabricksAddress, _ environment: [String: String], _ expected: String?
        ) throws
    {
        let folder = try TemporaryFolder()
        try "[shared]\nhost = https://h.example/?o=5\n".write(toFile: folder.file("cfg"), atomically: true, encoding: .utf8)
        let environment = environment.merging(["DATABRICKS_CONFIG_FILE": folder.file("cfg")]) { $1 }
        let variables = try DatabricksVariables(address, environment: environment)
        #expect(variables["workspace_id"]?.text == expected && variables.host == "https://h.example")
    }

    @Test func twoWorkspacesOfOneHostAreTwo() throws {
        let profile = "[shared]\nhost = https://h.example/?o=5\ntoken = canary\n"
        let other = try found(.profile("shared"), ["DATABRICKS_HOST": "h.example/?o=6"], file: profile)
        #expect(other.hasPrefix("DATABRICKS_HOST names another workspace than host of profile shared"), "\(other)")
        let bad = try found(.profile("shared"), ["DATABRICKS_WORKSPACE_ID": "5 6"], file: profile)
        #expect(bad.hasPrefix("DATABRICKS_WORKSPACE_ID: expected the number of a workspace"), "\(bad)")
    }

    @Test func hostsAreToldApart() {
        for host in [
            "adb-12.3.azuredatabricks.net", "dbc-a1.cloud.databricks.com", "1.2.gcp.databricks.com", "adb-1.1.databricks.azure.us",
        ] {
            #expect(DatabricksHost.isMeant(by: host), "\(host)")
        }
        for host in ["app-1.azure.databricksapps.com", "docs.databricks.com", "azuredatabricks.net.example", "mlflow.example"] {
            #expect(!DatabricksHost.isMeant(by: host), "\(host)")
        }
        #expect(DatabricksHost.workspaceID(of: "https://adb-123.4.azuredatabricks.net") == "123")
        #expect(DatabricksHost.workspaceID(of: "https://westeurope.azuredatabricks.net") == nil)
    }
}
