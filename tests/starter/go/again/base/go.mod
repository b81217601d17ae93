module example.org/again

go 1.21
