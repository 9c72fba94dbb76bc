"""The demo: a shop with an evening's sale, pictures drawn here, a crowd over real sockets, all in one command."""
