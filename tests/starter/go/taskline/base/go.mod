module example.org/taskline

go 1.21
