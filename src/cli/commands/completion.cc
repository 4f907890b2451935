#include "completion.h"

#include "command_doc.h"
#include "context.h"
#include "man_page.h"

namespace cenote::cli {

void add_completion(CLI::App& app, Context& context) {
  CLI::App* completion = add_noun(app, "completion", "Completion scripts for shells, and the manual page",
                                  "'./x install' and the Debian package put them where the shells look for them.");
  const auto add = [&](const char* name, const char* what, const char* examples, auto print) {
    add_verb(*completion, name, what, examples)->callback([&app, &context, print] {
      context.action = [&app, &context, print] { return context.out.raw(print(describe(app))); };
    });
  };
  add("bash", "Print the completion script for bash",
      "  source <(cenote completion bash)                                   # this shell\n"
      "  cenote completion bash > ~/.local/share/bash-completion/completions/cenote   # every new one",
      bash_completion);
  add("zsh", "Print the completion script for zsh",
      "  source <(cenote completion zsh)                      # this shell\n"
      "  cenote completion zsh > ~/.zfunc/_cenote             # every new one, with fpath+=~/.zfunc before compinit",
      zsh_completion);
  add("fish", "Print the completion script for fish",
      "  cenote completion fish | source                      # this shell\n"
      "  cenote completion fish > ~/.config/fish/completions/cenote.fish   # every new one",
      fish_completion);
  add("man", "Print the manual page cenote(1)", "  cenote completion man > ~/.local/share/man/man1/cenote.1",
      [](const CommandDoc& root) { return man_page(root, CENOTE_VERSION); });
}

}  // namespace cenote::cli
