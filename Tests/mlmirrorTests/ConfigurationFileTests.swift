import Replication
import Testing

@testable import mlmirror

@Suite("configuration file")
struct ConfigurationFileTests {
    struct Refusal: Sendable, CustomTestStringConvertible {
        var text: String
        var message: String
        var testDescription: String { message }
        init(_ text: String, _ message: String) {
            self.text = text
            self.message = message
        }
    }

    static let refusals = [
        Refusal("primry:\n  uri: http://a\n", "m.yaml:1:1: unknown key primry; did you mean primary?"),
        Refusal("primary:\n  url: http://a\n", "m.yaml:2:3: unknown key primary.url; did you mean uri?"),
        Refusal(
            "primary:\n  colour: red\n",
            "m.yaml:2:3: unknown key primary.colour; expected one of uri, auth, workspace, ca_file, client_certificate_file, feed, database, reinstall_triggers, registry, rate_share"
        ),
        Refusal("window: many\n", "m.yaml:1:9: window: expected a whole number from 1 to 64, found \"many\""),
        Refusal("window: 65\n", "m.yaml:1:9: window: expected a whole number from 1 to 64, found the number 65"),
        Refusal("window: 1.5\n", "m.yaml:1:9: window: expected a whole number from 1 to 64, found the number 1.5"),
        Refusal("artifact_window: [4]\n", "m.yaml:1:18: artifact_window: expected a whole number from 1 to 32, found a list"),
        Refusal("server_side_copy: sometimes\n", "m.yaml:1:19: server_side_copy: expected true or false, found \"sometimes\""),
        Refusal("state: 5\n", "m.yaml:1:8: state: expected text, found the number 5; put it in quotes"),
        Refusal("state:\n", "m.yaml:1:7: state: expected text, found nothing"),
        Refusal("pair: true\n", "m.yaml:1:7: pair: expected text, found the truth value true; put it in quotes"),
        Refusal("primary: http://a\n", "m.yaml:1:10: primary: expected keys and values, found \"http://a\""),
        Refusal("- a\n", "m.yaml:1:1: the file: expected keys and values, found a list"),
        Refusal(
            "scope:\n  experiments: a*\n",
            "m.yaml:2:16: scope.experiments: expected a list of texts, like [\"a*\", \"!b\"], found \"a*\""),
        Refusal(
            "scope:\n  models: [a, 5]\n",
            "m.yaml:2:15: scope.models: expected texts in the list, found the number 5; put it in quotes"),
        Refusal(
            "scope:\n  models: []\n",
            "m.yaml:2:11: scope.models: expected a pattern, found an empty list; leave the key out for everything, or write [\"!**\"] for none"
        ),
        Refusal(
            "scope:\n  owners: []\n",
            "m.yaml:2:11: scope.owners: expected a pattern, found an empty list; leave the key out for everything, or write [\"!**\"] for none"
        ),
        Refusal("scope:\n  experiments: [a, \"\"]\n", "m.yaml:2:16: scope.experiments: a pattern may not be empty"),
        Refusal("scope:\n  owners: [\"!\"]\n", "m.yaml:2:11: scope.owners: a pattern may not be empty"),
        Refusal("scope:\n  artifacts: maybe\n", "m.yaml:2:14: scope.artifacts: expected true or false, found \"maybe\""),
        Refusal(
            "scope:\n  since: yesterday\n",
            "m.yaml:2:10: scope.since: expected a date like 2024-01-31 or 2024-01-31T12:00:00Z, found \"yesterday\""),
        Refusal("state: a\npair: b\nstate: c\n", "m.yaml:1:1: state is given twice"),
        Refusal("rules: { tags: primary }\n", "m.yaml:1:10: unknown key rules.tags; did you mean tag?"),
        Refusal(
            "rules:\n  tag: secundary\n",
            "m.yaml:2:8: rules.tag: expected one of primary, secondary, park, found \"secundary\"; did you mean secondary?"),
        Refusal("rules:\n  param: primary\n", "m.yaml:2:10: rules.param: expected one of park, secondary, found \"primary\""),
        Refusal(
            "rules: { name_of_another_pair: adopt }\n",
            "m.yaml:1:32: rules.name_of_another_pair: expected one of rename, park, found \"adopt\""),
        Refusal("rules: { tag: true }\n", "m.yaml:1:15: rules.tag: expected text, found the truth value true; put it in quotes"),
        Refusal("rules: park\n", "m.yaml:1:8: rules: expected keys and values, found \"park\""),
        Refusal(
            "rules:\n  experiments:\n    \"/prod/**\": { aliass: park }\n",
            "m.yaml:3:19: unknown key rules.experiments./prod/**.aliass; did you mean alias?"),
        Refusal(
            "rules:\n  experiments:\n    \"/prod/**\": { tag: ask }\n",
            "m.yaml:3:24: rules.experiments./prod/**.tag: expected one of primary, secondary, park, found \"ask\""),
        Refusal(
            "rules:\n  models: { \"!a\": { tag: park } }\n",
            "m.yaml:2:13: rules.models.!a: a pattern here cannot exclude; later ones win"),
        Refusal("secondary:\n  feed: auto\n", "m.yaml:2:3: secondary.feed is refused: only the primary is followed"),
        Refusal("secondary: { registry: x }\n", "m.yaml:1:14: secondary.registry is refused: only a primary has a choice of registries"),
        Refusal(
            "primary: { rate_share: 0 }\n", "m.yaml:1:24: primary.rate_share: expected a whole number from 1 to 100, found the number 0"),
        Refusal("secondary: { database: x }\n", "m.yaml:1:14: secondary.database is refused: only the primary is followed"),
        Refusal(
            "live: { cycle_seconds: 0 }\n", "m.yaml:1:24: live.cycle_seconds: expected a whole number from 1 to 3600, found the number 0"),
        Refusal(
            "primary: { reinstall_triggers: maybe }\n", "m.yaml:1:32: primary.reinstall_triggers: expected true or false, found \"maybe\""),
        Refusal(
            "scope: { leave_out: { files: [] } }\n",
            "m.yaml:1:23: unknown key scope.leave_out.files; expected one of tags, params, artifacts"),
        Refusal(
            "scope: { leave_out: { tags: \"a*\" } }\n",
            "m.yaml:1:29: scope.leave_out.tags: expected a list of texts, like [\"a*\", \"!b\"], found \"a*\""),
        Refusal("scope: { leave_out: { params: [\"!\"] } }\n", "m.yaml:1:31: scope.leave_out.params: a pattern may not be empty"),
        Refusal("scope: { mask: { users: hide } }\n", "m.yaml:1:25: scope.mask.users: expected drop or pseudonym, found \"hide\""),
        Refusal(
            "scope: { mask: { tags: { \"!a\": drop } } }\n",
            "m.yaml:1:26: scope.mask.tags: a pattern here may not be empty, and cannot exclude; later ones win"),
        Refusal(
            "scope: { mask: { users: pseudonym } }\n",
            "m.yaml:1:10: scope.mask: a pseudonym needs scope.mask.key_file, the name of a file with a secret of 16 characters or more"),
        Refusal(
            "scope: { mask: { users: drop, key_file: k } }\n",
            "m.yaml:1:41: scope.mask.key_file: nothing under scope.mask says pseudonym; remove it"),
        Refusal(
            "scope: { rename: { experiments: { \"/a/**\": b } } }\n",
            "m.yaml:1:44: scope.rename.experiments./a/**: expected a name for a name, or BEGINNING** for BEGINNING**, found \"b\""),
        Refusal(
            "scope: { rename: { models: { a: c, b: c } } }\n",
            "m.yaml:1:39: scope.rename.models.b: two cannot have the name \"c\" there"),
        Refusal(
            "secondary: { experiment_names: \"{last}\" }\n",
            "m.yaml:1:32: secondary.experiment_names: expected {last} or {path} once, {hash} once, and else letters, digits, - and _, "
                + "like {last}-{hash}; found \"{last}\""),
        Refusal(
            "primary:\n  auth:\n    password: shibboleth\n",
            "m.yaml:3:5: primary.auth.password is refused: no secret in this file; put it in a file of its own and name that with password_file"
        ),
        Refusal(
            "secondary:\n  auth:\n    token: shibboleth\n",
            "m.yaml:3:5: secondary.auth.token is refused: no secret in this file; put it in a file of its own and name that with token_file"
        ),
        Refusal(
            "primary:\n  auth: { username: a, token_file: t }\n",
            "m.yaml:2:36: primary.auth.token_file: expected either a token or username and password_file, found both"),
        Refusal("state: [a\n", "m.yaml:2:1: not valid YAML: did not find expected ',' or ']'"),
        Refusal("a: 1\n---\nb: 2\n", "m.yaml:2:1: not valid YAML: but found another document"),
    ]

    @Test("is refused with place, key and what was expected", arguments: refusals)
    func refuses(_ refusal: Refusal) {
        let error = #expect(throws: ConfigurationError.self) { try ConfigurationFile(text: refusal.text, path: "m.yaml") }
        #expect(error?.description == refusal.message)
        #expect(error.map(Status.of) == .configuration)
        #expect(error?.description.contains("shibboleth") == false)
    }

    @Test("gives every value with its line")
    func reads() throws {
        let file = try ConfigurationFile(
            text: """
                primary:
                  uri: http://a:5000
                  auth: { username: ann, password_file: secret }
                  workspace: w
                secondary: { uri: "http://b", ca_file: ca.pem }
                state: $HOME/${STATE}.db
                scope:
                  experiments: ["team/**", "!team/x"]
                  since: 2024-01-01
                  artifacts: false
                window: 16
                """, path: "m.yaml")
        #expect(file.primary.uri?.value == "http://a:5000")
        #expect(file.primary.uri?.origin == .file(Place(file: "m.yaml", line: 2, column: 8)))
        #expect(file.primary.username?.value == "ann")
        #expect(file.primary.workspace?.value == "w")
        #expect(file.secondary.caFile?.value == "ca.pem")
        #expect(file.state?.value == "$HOME/${STATE}.db", "nothing is interpolated")
        #expect(file.experiments?.value == ["team/**", "!team/x"])
        #expect(file.since?.value == 1_704_067_200_000)
        #expect(file.artifacts?.value == false)
        #expect(file.window?.value == 16)
        #expect(file.models == nil)
    }

    @Test("says what is done about conflicts, also by name, where the later pattern wins")
    func rules() throws {
        let file = try ConfigurationFile(
            text: """
                rules:
                  tag: secondary
                  deleted_on_primary: keep
                  experiments:
                    "/Shared/**": { tag: park, run_name: secondary }
                    "/Shared/prod/**": { tag: primary }
                  models:
                    "prod.*": { alias: secondary }
                """, path: "m.yaml")
        let rules = try #require(file.rules).value
        #expect(rules.decision(.tag, experiment: "/Users/a") == .secondary)
        #expect(rules.decision(.tag, experiment: "/Shared/a") == .park)
        #expect(rules.decision(.tag, experiment: "/Shared/prod/a") == .primary)
        #expect(rules.decision(.runName, experiment: "/Shared/prod/a") == .secondary, "the earlier one still says this")
        #expect(rules.decision(.deletedOnPrimary, experiment: "/Shared/a") == .keep)
        #expect(rules.decision(.alias, model: "prod.net") == .secondary)
        #expect(rules.decision(.alias, model: "dev.net") == .primary)
        #expect(rules.decision(.tag, model: "prod.net") == .secondary)
        #expect(
            RulesSection.lines(rules).map { "\($0.key) = \($0.value)" } == [
                "rules.tag = secondary", "rules.deleted_on_primary = keep",
                "rules.experiments./Shared/** = tag: park, run_name: secondary", "rules.experiments./Shared/prod/** = tag: primary",
                "rules.models.prod.* = alias: secondary",
            ])
    }

    @Test("may be empty, or have empty sections", arguments: ["", "# nothing\n", "scope:\n", "primary:\nsecondary: {}\n"])
    func empty(_ text: String) throws {
        let file = try ConfigurationFile(text: text, path: "m.yaml")
        #expect(file.state == nil && file.primary.uri == nil && file.experiments == nil)
    }

    @Test("that everyone may write is refused when it names a secret")
    func writableByOthers() throws {
        let folder = try TemporaryFolder()
        let secret = try folder.write("a.yaml", "primary: { auth: { token_file: t } }\n", mode: 0o666)
        let error = #expect(throws: ConfigurationError.self) { try ConfigurationFile(path: secret, nil) }
        #expect(error?.description == "\(secret):1:32: names a secret, but everyone may write this file; run: chmod o-w \(secret)")
        let harmless = try folder.write("b.yaml", "state: x\n", mode: 0o666)
        #expect(try ConfigurationFile(path: harmless, nil).state?.value == "x")
    }

    @Test("that cannot be read is named, with the reason")
    func unreadable() throws {
        let folder = try TemporaryFolder()
        let missing = #expect(throws: ConfigurationError.self) {
            try ConfigurationFile(path: folder.file("none.yaml"), .environment("MLMIRROR_CONFIG"))
        }
        #expect(
            missing?.description
                == "MLMIRROR_CONFIG: cannot read the configuration file \(folder.file("none.yaml")): No such file or directory")
        let directory = #expect(throws: ConfigurationError.self) { try ConfigurationFile(path: folder.path, nil) }
        #expect(directory?.description.contains("not a regular file") == true)
    }

    @Test("as shipped is valid")
    func example() throws {
        let path = FolderMaker.package + "/config/mlmirror.yaml"
        let file = try ConfigurationFile(path: path, nil)
        #expect(file.primary.uri != nil && file.secondary.uri != nil && file.state != nil)
        // What is commented out in it must be valid too: a line that begins with `#` and a key is a setting.
        let text = try FolderMaker.read(path).split(separator: "\n", omittingEmptySubsequences: false).map { line in
            let bare = line.drop { $0 == " " }
            guard bare.hasPrefix("#"), bare.dropFirst().first?.isLetter == true else { return String(line) }
            return String(line).replacing("#", with: "", maxReplacements: 1)
        }
        #expect(throws: Never.self) { try ConfigurationFile(text: text.joined(separator: "\n"), path: "uncommented") }
        #expect(text.joined(separator: "\n") != (try FolderMaker.read(path)))
    }
}
