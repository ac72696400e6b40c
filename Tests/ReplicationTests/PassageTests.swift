import Hashing
import Testing

@testable import Replication

/// What is left out, masked and renamed, as values.
@Suite struct PassageTests {
    private static let key = PseudonymKey("a secret of some length")

    @Test func hmacIsTheStandards() {
        // RFC 4231, test cases 2 and 6.
        #expect(
            HMAC.sha256("what do ya want for nothing?", key: Array("Jefe".utf8)).hex
                == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        #expect(
            HMAC.sha256("Test Using Larger Than Block-Size Key - Hash Key First", key: [UInt8](repeating: 0xAA, count: 131)).hex
                == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
    }

    @Test(arguments: [
        ("/Users/ann@example.com/churn", "/Users/user/churn"),
        ("/Workspace/Users/ann/churn", "/Workspace/Users/user/churn"),
        ("dbfs:/Repos/ann.lee/x", "dbfs:/Repos/user/x"),
        ("/home/ann/train.py", "/home/user/train.py"),
        ("C:\\Users\\ann\\train.py", "C:\\Users\\user\\train.py"),
        ("{\"path\": \"/Users/ann\"}", "{\"path\": \"/Users/user\"}"),
        ("by ann.lee+x@mail.example.co.uk, and bo@b.de.", "by user, and user."),
        ("<ann@example.com>", "<user>"),
        ("ännchen@müller.example", "user"),
        ("git@github.com:team/x.git", "git@github.com:team/x.git"),
        ("a@b", "a@b"), ("@", "@"), ("x@y@example.com", "x@user"), ("", ""), ("/Users/", "/Users/"), ("/Users//x", "/Users//x"),
        ("{\"a\":\"x\\nann@example.com\"}", "{\"a\":\"x\\nuser\"}"), ("C:\\\\Users\\\\ann\\\\x", "C:\\\\Users\\\\user\\\\x"),
        ("x?u=ann%40example.com", "x?u=user"), ("/Users/ann%40example.com/x", "/Users/user/x"),
        ("/Shared/team", "/Shared/team"), ("price @ 3.5", "price @ 3.5"),
    ])
    func peopleInTextAreFound(_ text: String, _ masked: String) {
        #expect(Mask(users: .drop).text(text) == masked)
        #expect(Mask().text(text) == text)
    }

    @Test func aPseudonymIsTheSameForTheSameAndHangsOnTheKey() {
        let mask = Mask(users: .pseudonym, key: Self.key)
        let ann = mask.user("ann@example.com")
        #expect(ann?.hasPrefix("user-") == true && ann?.count == 21)
        #expect(mask.text("/Users/ann@example.com/x") == "/Users/\(ann ?? "")/x")
        #expect(mask.text("by ann@example.com") == "by \(ann ?? "")" && mask.text("by ann%40example.com") == "by \(ann ?? "")")
        #expect(mask.user("bo@example.com") != ann)
        #expect(Mask(users: .pseudonym, key: PseudonymKey("another secret, as long")).user("ann@example.com") != ann)
        #expect(!"\(mask)".contains("secret") && !String(reflecting: mask).contains("secret"))
        var dumped = ""
        dump(mask, to: &dumped)
        #expect(!dumped.contains("secret"))
    }

    @Test func theLastPatternThatMatchesDecides() {
        let leaveOut = LeaveOut(tags: ["mlflow.*", "!mlflow.user"], params: ["secret*"], artifacts: ["**/*.tmp", "cache", "!keep.tmp"])
        #expect(leaveOut.holds(tag: "mlflow.source.name") && !leaveOut.holds(tag: "mlflow.user") && !leaveOut.holds(tag: "team"))
        #expect(leaveOut.holds(param: "secret_path") && !leaveOut.holds(param: "lr"))
        #expect(leaveOut.holds(file: "a.tmp") && leaveOut.holds(file: "x/y/a.tmp") && leaveOut.holds(file: "cache"))
        #expect(!leaveOut.holds(file: "keep.tmp") && !leaveOut.holds(file: "a.tmp.txt"))
        let checkpoints = LeaveOut(artifacts: ["ckpt", "!ckpt/best", "**/tmp"])
        #expect(checkpoints.holds(file: "ckpt/1.pt") && checkpoints.holds(file: "ckpt/a/1.pt") && checkpoints.holds(file: "a/tmp/x"))
        #expect(!checkpoints.holds(file: "ckpt/best/1.pt") && !checkpoints.holds(file: "ckpts/1.pt"))
        #expect(!checkpoints.holds(folder: "ckpt") && LeaveOut(artifacts: ["ckpt"]).holds(folder: "ckpt"))
        let all = LeaveOut(tags: ["**"])
        #expect(!all.holds(tag: Stamp.pairKey) && !all.holds(tag: "mlflow.prompt.is_prompt") && all.holds(tag: "a/b"))
        #expect(!LeaveOut().holds(tag: "x") && !LeaveOut().holds(file: "x"))
    }

    @Test func namesAreMappedOneByOneOrByTheirBeginning() {
        let renaming = Renaming(
            experiments: [.init("/Users/ann/x", "x"), .init("/Users/**", "people/**"), .init("/Shared/**", "**")], models: [.init("a", "b")]
        )
        #expect(renaming.experiment("/Users/ann/x") == "x")
        #expect(renaming.experiment("/Users/ann/y") == "people/ann/y")
        #expect(renaming.experiment("/Shared/team") == "team")
        #expect(renaming.experiment("/Other") == "/Other")
        #expect(renaming.model("a") == "b" && renaming.model("b") == "b")
    }

    @Test func aTemplateHasTwoPlaces() throws {
        for text in [
            "", "{last}", "{hash}", "{last}{path}{hash}", "{last}-{hash}{hash}", "-{last}{hash}", "{last} {hash}", "{name}-{hash}",
        ] {
            #expect(NameTemplate(text) == nil, "\(text)")
        }
        let rule = NameRule(punctuation: "-_", length: 30)
        let name = "/Users/ann@example.com/a/long/path/churn model"
        #expect(rule.fitting(name, as: .last).hasPrefix("churn-model-"))
        #expect(rule.fitting(name, as: .path).hasPrefix("Users-ann-example-com"))
        let template = try #require(NameTemplate("dbx_{hash}_{path}"))
        let fitted = rule.fitting(name, as: template)
        #expect(fitted.hasPrefix("dbx_") && fitted.count == 30 && rule.fitting(fitted) == fitted)
        #expect(rule.fitting("churn", as: template) == "churn", "what is taken stays")
        #expect(rule.fitting("/a/churn", as: .last) != rule.fitting("/b/churn", as: .last))
        #expect(rule.fitting("/é/", as: .last).hasPrefix("n-"))
    }

    @Test func everyPartOfAScopeTellsItFromAnother() {
        var scopes = [Scope.everything]
        func add(_ change: (inout Scope) -> Void) {
            var scope = Scope.everything
            change(&scope)
            scopes.append(scope)
        }
        add { $0.experiments = PatternList(["a"]) }
        add { $0.models = PatternList(["a"]) }
        add { $0.since = 1 }
        add { $0.until = 1 }
        add { $0.artifacts = false }
        add { $0.unknownFields = true }
        add { $0.owners = PatternList(["a"]) }
        add { $0.passage.leaveOut.tags = ["a"] }
        add { $0.passage.leaveOut.params = ["a"] }
        add { $0.passage.leaveOut.artifacts = ["a"] }
        add { $0.passage.mask.users = .drop }
        add { $0.passage.mask = Mask(users: .pseudonym, key: Self.key) }
        add { $0.passage.mask = Mask(users: .pseudonym, key: PseudonymKey("another secret, as long")) }
        add { $0.passage.mask.tags = [.init("a", .drop)] }
        add { $0.passage.mask.params = [.init("a", .drop)] }
        add { $0.renaming.experiments = [.init("a", "b")] }
        add { $0.renaming.models = [.init("a", "b")] }
        #expect(Set(scopes.map(\.fingerprint)).count == scopes.count)
        #expect(Set(scopes.map(\.parts)).count == scopes.count)
    }
}
